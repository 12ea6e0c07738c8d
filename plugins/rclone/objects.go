package rclone

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// object is what lsjson says of one.
type object struct {
	Path    string            `json:"Path"`
	Size    int64             `json:"Size"` // -1: the store does not say
	ModTime time.Time         `json:"ModTime"`
	IsDir   bool              `json:"IsDir"`
	Hashes  map[string]string `json:"Hashes"`
}

// objectsMax bounds how many objects are looked at.
const objectsMax = 5_000_000

var errTooMany = fmt.Errorf("more than %d objects", objectsMax)

// readObjects reads the list that lsjson prints and calls each for every object.
func readObjects(r io.Reader, each func(object)) error {
	d := json.NewDecoder(r)
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return errors.New("it printed no list")
	}
	for n := 0; d.More(); n++ {
		var o object
		if err := d.Decode(&o); err != nil {
			return err
		}
		if o.Path == "" {
			return errors.New("an object has no path")
		}
		if n == objectsMax {
			return errTooMany
		}
		if !o.IsDir {
			each(o)
		}
	}
	_, err := d.Token()
	return err
}

package web

import (
	"reflect"
	"strings"
	"time"
)

// How much of a text a page shows, in bytes: nobody reads more, and one long text
// must not make a page that no browser opens.
const (
	maxShown = 1 << 10
	maxRaw   = 4 << 10 // of a tool's own words, and of notices
)

// clip shortens what is too long to read.
func clip(s string) string { return clipTo(s, maxShown) }

// clipRaw shortens a tool's own words.
func clipRaw(s string) string { return clipTo(s, maxRaw) }

func clipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// clipped returns a deep copy of v in which every text is short enough to show.
func clipped[T any](v T) T {
	out := reflect.New(reflect.TypeFor[T]()).Elem()
	copyClipped(out, reflect.ValueOf(v))
	return out.Interface().(T)
}

func copyClipped(to, from reflect.Value) {
	switch from.Kind() {
	case reflect.String:
		to.SetString(clipRaw(from.String()))
	case reflect.Pointer:
		if !from.IsNil() {
			to.Set(reflect.New(from.Type().Elem()))
			copyClipped(to.Elem(), from.Elem())
		}
	case reflect.Slice:
		if !from.IsNil() {
			to.Set(reflect.MakeSlice(from.Type(), from.Len(), from.Len()))
			for i := range from.Len() {
				copyClipped(to.Index(i), from.Index(i))
			}
		}
	case reflect.Map:
		if !from.IsNil() {
			to.Set(reflect.MakeMapWithSize(from.Type(), from.Len()))
			for key, value := range from.Seq2() {
				k, v := reflect.New(key.Type()).Elem(), reflect.New(value.Type()).Elem()
				copyClipped(k, key)
				copyClipped(v, value)
				to.SetMapIndex(k, v)
			}
		}
	case reflect.Struct:
		if from.Type() == reflect.TypeFor[time.Time]() {
			to.Set(from)
			return
		}
		for i := range from.NumField() {
			copyClipped(to.Field(i), from.Field(i))
		}
	default:
		to.Set(from)
	}
}

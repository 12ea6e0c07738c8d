package agent

import "go.etcd.io/bbolt"

// SetFormat makes an outbox look as if a program of that format had written it.
func SetFormat(o *Outbox, format int) {
	err := o.db.Update(func(tx *bbolt.Tx) error {
		return put(tx.Bucket(metaBucket), standingKey, standing{Format: format})
	})
	if err != nil {
		panic(err)
	}
}

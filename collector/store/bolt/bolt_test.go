package bolt_test

import (
	"testing"

	"github.com/holdfast-monitor/holdfast/collector/store"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
	"github.com/holdfast-monitor/holdfast/collector/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Place {
		dir := t.TempDir()
		return func() (store.Store, error) { return bolt.Open(dir, bolt.Options{}) }
	})
}

package bench

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

// find opens the collector's store and counts the acknowledged reports that are
// in it: counted among the agent's settled ones, and not newer than the state
// that is kept. It also returns the store's size.
func find(ctx context.Context, data string, crowd *crowd) (found uint64, size int64, err error) {
	info, err := os.Stat(filepath.Join(data, bolt.FileName))
	if err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	st, err := bolt.Open(data, bolt.Options{Program: "bench", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	defer st.Close()
	byName := map[string]*agentEnd{}
	for _, a := range crowd.agents {
		byName[a.name] = a
	}
	for kept, err := range st.AgentReports(ctx) {
		if err != nil {
			return 0, 0, fmt.Errorf("bench: read the store: %w", err)
		}
		a := byName[kept.Agent]
		if a == nil || kept.Epoch != a.epoch {
			continue
		}
		for _, seq := range a.acked {
			if kept.Settled.Has(a.epoch, seq) && seq <= kept.Seq {
				found++
			}
		}
	}
	return found, info.Size(), nil
}

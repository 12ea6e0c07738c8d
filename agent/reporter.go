package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// Spool is the durable outbox the reporter empties. Its methods may be called
// from several goroutines at once.
//
// A report is what was appended at once, at most 100 results. Sequence numbers of
// reports begin at 1 and grow by one with every append; they and the epoch survive
// a restart. The epoch is the Unix second the spool began in. Every observation
// carries a Seq of its own that grows with every observation: the first of an
// epoch has epoch<<32, so that a new data folder outranks an old one.
type Spool interface {
	// State says where the spool stands.
	State() SpoolState
	// Next returns the waiting report with the lowest sequence number above
	// after; ok is false where none waits. The spool fills in Epoch, Seq and
	// the observations.
	Next(after uint64) (r holdfast.Report, ok bool, err error)
	// Previous returns the waiting report with the highest sequence number
	// below before; ok is false where none waits.
	Previous(before uint64) (r holdfast.Report, ok bool, err error)
	// Drop forgets the reports of these sequence numbers: at once, and durably
	// with a later append, so that a crash may bring some back; the collector's
	// Welcome settles those. Numbers that do not wait are passed over.
	Drop(seqs ...uint64) error
	// Renew begins a new epoch: the present second, and in any case a number
	// above floor. Waiting reports keep their sequence numbers and change epoch;
	// further ones count on.
	Renew(floor uint64) error
	// Appended gives a value after a report was appended. Values do not add up:
	// one may stand for many reports.
	Appended() <-chan struct{}
}

// SpoolState is where a spool stands.
type SpoolState struct {
	Epoch   uint64
	First   uint64 // lowest waiting sequence number; Last+1 where none waits
	Last    uint64 // sequence number given out last; 0: none yet
	Waiting int    // reports
	Dropped uint64 // reports given up unacknowledged because the spool was full
}

// ReporterConfig is what a reporter is made of. All but Kept, Runs, Found
// and their news is required. The
// functions are called from the reporter's own goroutine and must not block long.
type ReporterConfig struct {
	Data     string // the agent's data folder
	Address  string // HOST:PORT of the collector
	Identity *Identity
	Spool    Spool
	Version  string // of the program
	Log      *slog.Logger

	Kept   holdfast.Assignment        // the last assignment, as it was delivered
	Assign func(holdfast.Assignment)  // takes a new assignment, all of it
	Run    func(check string)         // is asked to run a check at once
	Stop   func(check string)         // is asked to end a run that Run began
	Health func() holdfast.AgentState // says Refused, Spooled and Plugins

	Runs    func(all bool) []holdfast.Running // how the checks fare that were asked for: all of them, or what is new
	RunNews <-chan struct{}                   // gives a value when something is new

	Found     func() *holdfast.Found // the databases of this host; nil: not looked yet
	FoundNews <-chan struct{}        // gives a value after every look
}

// Reporter keeps a session with the collector: it sends what the spool holds,
// the newest first and the rest in order behind it, and forgets what is
// acknowledged.
type Reporter struct {
	c       ReporterConfig
	machine string
	healthy chan struct{} // holds one: health changed

	assigned holdfast.Assignment // of Run's goroutine
	numbers  map[string]uint32   // of Run's goroutine: check → place in assigned
	spread   time.Duration       // of Run's goroutine: as the collector last said

	mu    sync.Mutex
	state ReporterState // guarded by mu
}

// ReporterState is how a reporter fares.
type ReporterState struct {
	Connected  bool      `json:"connected"`
	Since      time.Time `json:"since,omitzero"`             // of being connected or not
	Problem    string    `json:"problem,omitempty"`          // why it is not connected
	LastAck    time.Time `json:"last_acknowledged,omitzero"` //
	Acked      uint64    `json:"acknowledged"`               // reports, since the start
	Refused    uint64    `json:"refused_reports"`            // given up: the collector never will take them
	Unassigned uint64    `json:"unassigned_results"`         // left out: their checks are no longer this agent's
}

// NewReporter returns a reporter that does nothing until Run.
func NewReporter(c ReporterConfig) *Reporter {
	r := &Reporter{c: c, machine: machine(c.Data), healthy: make(chan struct{}, 1)}
	r.assign(c.Kept)
	return r
}

// State says how the reporter fares.
func (r *Reporter) State() ReporterState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// HealthChanged makes the reporter ask for the agent's health and send it.
func (r *Reporter) HealthChanged() {
	select {
	case r.healthy <- struct{}{}:
	default:
	}
}

func (r *Reporter) change(f func(*ReporterState)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.state)
}

// How long the reporter waits before it tries again: somewhere below a bound
// that doubles with each failure to get a session (full jitter), so that many
// agents do not come back together.
const (
	firstWait   = time.Second
	longestWait = time.Minute
	settled     = time.Second // a session this old was no vain attempt
)

// Run reports until ctx ends.
func (r *Reporter) Run(ctx context.Context) error {
	if err := r.moved(); err != nil {
		return err
	}
	bound, atOnce := firstWait, 0
	for ctx.Err() == nil {
		began := time.Now()
		err := r.session(ctx)
		if errors.Is(err, errRanOut) {
			r.c.Log.Warn("certificate ran out: recovering by the agent's key")
			if err = r.c.Identity.Recover(ctx, r.c.Address); err == nil {
				err = errAgain
			}
		}
		if r.lost(err) {
			bound = firstWait
		}
		if time.Since(began) > settled {
			atOnce = 0
		}
		if errors.Is(err, errAgain) && atOnce < 3 {
			atOnce++
			continue
		}
		if ctx.Err() != nil {
			break
		}
		wait := rand.N(max(bound, r.spread))
		r.c.Log.Warn("no session with the collector", "address", r.c.Address, "err", err, "retry_in", wait.Round(time.Millisecond))
		bound = min(2*bound, longestWait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// lost notes that there is no session, and why; it reports whether there was one.
func (r *Reporter) lost(why error) (was bool) {
	r.change(func(s *ReporterState) {
		was = s.Connected
		if was || s.Since.IsZero() {
			s.Since = time.Now()
		}
		s.Connected, s.Problem = false, why.Error()
	})
	return was
}

// errAgain asks for a new session at once.
var errAgain = errors.New("a new session is due")

// moved begins a new epoch where the data folder was copied or moved to another
// host: whatever the two report from now on has numbers of its own.
func (r *Reporter) moved() error {
	path := filepath.Join(r.c.Data, "host")
	here := host(r.c.Data)
	kept, err := os.ReadFile(path)
	if err == nil && string(kept) == here {
		return nil
	}
	if err == nil {
		r.c.Log.Warn("the data folder comes from another host or place: counting reports anew")
		if err := r.c.Spool.Renew(r.c.Spool.State().Epoch); err != nil {
			return fmt.Errorf("begin a new epoch: %w", err)
		}
	}
	if err := writeFile(path, []byte(here)); err != nil {
		return fmt.Errorf("keep the host's mark: %w", err)
	}
	return nil
}

func (r *Reporter) assign(a holdfast.Assignment) {
	r.assigned, r.numbers = a, make(map[string]uint32, len(a.Checks))
	for i, c := range a.Checks {
		r.numbers[c.ID] = uint32(i)
	}
}

// session connects once and reports until the connection ends.
func (r *Reporter) session(ctx context.Context) error {
	conn, err := connect(ctx, r.c.Address, r.c.Identity.tlsConfig(true))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	client := wirepb.NewAgentsClient(conn)
	stream, err := client.Session(ctx)
	if err != nil {
		cancel()
		return plain(err)
	}
	t := &talk{r: r, client: client, stream: stream, down: make(chan *wirepb.Down), outstanding: map[uint64]*outReport{}, known: map[string]knownBody{}}
	go t.receive(ctx)
	err = t.hold(ctx)
	cancel()
	_ = t.over() // until receive has ended
	if errors.Is(err, errAgain) || errors.Is(err, context.Canceled) {
		return err
	}
	return plain(err)
}

// hello opens the session.
func (r *Reporter) hello(stream grpc.BidiStreamingClient[wirepb.Up, wirepb.Down]) error {
	s := r.c.Spool.State()
	hostname, _ := os.Hostname() // for people; may be empty
	return stream.Send(&wirepb.Up{Message: &wirepb.Up_Hello{Hello: &wirepb.Hello{
		WireVersion: wire.Version, Version: r.c.Version, Hostname: hostname, Machine: r.machine,
		Epoch: s.Epoch, Oldest: s.First, Assignment: r.assigned.Version,
	}}})
}

// welcome takes the collector's Welcome: what is settled leaves the spool. It
// answers errAgain after the spool began a new epoch.
func (r *Reporter) welcome(w *wirepb.Welcome) error {
	if w == nil {
		return status.Error(codes.FailedPrecondition, "the other end is no collector: it does not begin with Welcome")
	}
	r.spread = time.Duration(min(max(w.GetSpread(), 0), int64(10*time.Minute)))
	s, p := r.c.Spool.State(), wire.ToProgress(w)
	highest := p.Through
	if n := len(p.Beyond); n > 0 {
		highest = p.Beyond[n-1].Last
	}
	if p.Epoch > s.Epoch || p.Epoch == s.Epoch && highest > s.Last {
		r.c.Log.Warn("the collector has heard later reports than this data folder has given: it is new or an old copy; counting reports anew",
			"heard_epoch", p.Epoch, "heard", highest, "epoch", s.Epoch, "last", s.Last)
		if err := r.c.Spool.Renew(p.Epoch); err != nil {
			return fmt.Errorf("begin a new epoch: %w", err)
		}
		return errAgain
	}
	if p.Epoch < s.Epoch {
		return nil
	}
	var done []uint64
	for after := uint64(0); after < highest; {
		report, ok, err := r.c.Spool.Next(after)
		if err != nil {
			return fmt.Errorf("read the spool: %w", err)
		}
		if !ok {
			break
		}
		if p.Has(s.Epoch, report.Seq) {
			done = append(done, report.Seq)
		}
		after = report.Seq
	}
	if len(done) == 0 {
		return nil
	}
	return r.c.Spool.Drop(done...)
}

package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// A plugin whose checks run at least every residentEvery is never stopped
// between two runs; one whose checks run no oftener than onDemandEvery is
// stopped after each. Between them idle time decides.
const (
	onDemandEvery = holdfast.Duration(5 * time.Minute)
	defaultIdle   = 90 * time.Second
)

// PluginsConfig says which plugins there are and how they are kept.
type PluginsConfig struct {
	// FirstParty are the plugins within this program: name → its probes.
	FirstParty map[string][]holdfast.Description
	// Command starts a first-party plugin; its name is added. Default: this very
	// program, holdfast plugin NAME.
	Command []string
	// External are outside plugins: absolute path → "sha256:HEX". The file's name
	// is the plugin's.
	External map[string]string
	// Dir holds sockets and scratch folders. It belongs to one agent: what an
	// earlier one left there is removed.
	Dir string
	Log *slog.Logger
	// Protected returns the paths of this host that no probe may restore anything in,
	// on or above; it is asked before each run of a probe that writes. Nil: none is known.
	Protected func() []string

	StartTimeout time.Duration // default 10 s
	Grace        time.Duration // for a call to end once its time is up, before the plugin is killed; default 2 s
	CleanUp      time.Duration // the same for a heavy probe, which may have much to remove; default 30 s
	Idle         time.Duration // an unused plugin is stopped after this; default 90 s
}

// Plugins runs plugins as processes of their own and asks them. A plugin that
// crashes, hangs or talks rubbish is killed with everything it started, makes
// its own checks unknown, and disturbs no other. Heavy probes run in a process of
// their own, which gives way to everybody else's work, with all that it starts. All
// methods may be called from several goroutines.
type Plugins struct {
	config  PluginsConfig
	scratch string
	hosts   map[string]*pluginHost // by plugin; fixed
	heavy   map[string]*pluginHost // the same, for heavy probes; fixed
	quick   *launcher
	gentle  *launcher // of heavy
	calls   atomic.Uint64
	work    sync.WaitGroup // starts, watches and stops under way

	mu    sync.Mutex
	costs map[string]holdfast.Cost // of the probes of outside plugins that were asked; guarded by mu
}

// NewPlugins prepares the folder and starts nothing yet.
func NewPlugins(c PluginsConfig) (*Plugins, error) {
	program := "/proc/self/exe" // this very program, whatever happened to its file since
	if len(c.Command) == 0 {
		c.Command = []string{os.Args[0], "plugin"} // the name it shows is its own
	} else {
		program = c.Command[0]
	}
	c.StartTimeout = orElse(c.StartTimeout, 10*time.Second)
	c.Grace = orElse(c.Grace, 2*time.Second)
	c.CleanUp = orElse(c.CleanUp, max(c.Grace, 30*time.Second))
	c.Idle = orElse(c.Idle, defaultIdle)
	p := &Plugins{config: c, scratch: filepath.Join(c.Dir, "scratch"), hosts: map[string]*pluginHost{}, heavy: map[string]*pluginHost{},
		costs: map[string]holdfast.Cost{}}
	sockets := filepath.Join(c.Dir, "sockets")
	for _, dir := range []string{sockets, p.scratch} {
		if err := emptyFolder(dir); err != nil {
			return nil, fmt.Errorf("prepare folder for plugins: %w", err)
		}
	}
	for name := range c.FirstParty {
		p.add(pluginSpec{name: name, program: program, argv: append(slices.Clone(c.Command), name), sockets: sockets})
	}
	for path, sum := range c.External {
		spec, err := externalSpec(path, sum, sockets)
		if err != nil {
			return nil, err
		}
		if p.hosts[spec.name] != nil {
			return nil, fmt.Errorf("plugin %s: the name is taken\nhint: a plugin is named like its file; rename %s", spec.name, path)
		}
		p.add(spec)
	}
	p.quick, p.gentle = newLauncher(nil), newLauncher(giveWay)
	return p, nil
}

func (p *Plugins) add(spec pluginSpec) {
	spec.startTimeout = p.config.StartTimeout
	p.hosts[spec.name] = &pluginHost{
		name: spec.name,
		log:  p.config.Log.With("plugin", spec.name),
		work: &p.work,
		start: func(h *pluginHost) (*pluginProcess, error) {
			return startPlugin(spec, p.quick, h.log)
		},
	}
	p.heavy[spec.name] = &pluginHost{
		name: spec.name + " (heavy)",
		log:  p.config.Log.With("plugin", spec.name, "cost", holdfast.Heavy),
		work: &p.work,
		start: func(h *pluginHost) (*pluginProcess, error) {
			process, err := startPlugin(spec, p.gentle, h.log)
			if err == nil {
				process.runner.offer()
			}
			return process, err
		},
	}
}

var pluginName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

func externalSpec(path, sum, sockets string) (pluginSpec, error) {
	name := filepath.Base(path)
	digest, err := hex.DecodeString(strings.TrimPrefix(sum, "sha256:"))
	switch {
	case !pluginName.MatchString(name):
		return pluginSpec{}, fmt.Errorf("plugin %s: %q is no name for a plugin\nhint: small letters and digits only, beginning with a letter; its probes are named after it", path, name)
	case err != nil || len(digest) != 32:
		return pluginSpec{}, fmt.Errorf("plugin %s: %q is not sha256: and 64 hexadecimal digits\nhint: sha256sum %s", name, sum, path)
	}
	return pluginSpec{name: name, program: path, argv: []string{path}, external: true, sum: [32]byte(digest), sockets: sockets}, nil
}

// Observe runs a check once: within its Timeout, if it has one, and within ctx.
// Tools are the absolute paths of programs the probe may run. An error means that
// it could not tell: it names the plugin, and probe.ReasonOf says why. Check and
// At of the observation are set. Observe returns when nothing of the call runs
// any more, at most Grace (of a heavy probe CleanUp) after its time is up, and its
// scratch is gone.
func (p *Plugins) Observe(ctx context.Context, check holdfast.Check, tools map[string]string) (holdfast.Observation, error) {
	if check.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, check.Timeout.Std())
		defer cancel()
	}
	name, err := p.plugin(check.Probe)
	if err != nil {
		return holdfast.Observation{}, err
	}
	began := time.Now()
	o, err := p.observe(ctx, name, check, tools)
	if err != nil {
		if reason := probe.ReasonOf(err); reason == "" && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = probe.Unable(holdfast.Timeout, "%w", err)
		}
		return holdfast.Observation{}, fmt.Errorf("plugin %s: %w", name, err)
	}
	o.Check, o.At = check.ID, began.UTC()
	return o, nil
}

// plugin returns the name of a probe's plugin: the part of its own before the dot.
func (p *Plugins) plugin(probeName string) (string, error) {
	name, _, _ := strings.Cut(probeName, ".")
	if p.hosts[name] == nil {
		return "", fmt.Errorf("there is no plugin for the probe %q on this host; known plugins: %s", probeName, strings.Join(slices.Sorted(maps.Keys(p.hosts)), ", "))
	}
	return name, nil
}

// cost returns how heavy a check's probe is. An outside plugin is started where it was
// not asked yet.
func (p *Plugins) cost(ctx context.Context, plugin string, check holdfast.Check) (holdfast.Cost, error) {
	for _, d := range p.config.FirstParty[plugin] {
		if d.Name == check.Probe {
			return d.Cost, nil
		}
	}
	p.mu.Lock()
	cost, known := p.costs[check.Probe]
	p.mu.Unlock()
	if known {
		return cost, nil
	}
	h := p.hosts[plugin]
	process, err := h.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer h.release(process, p.linger(check.Every))
	d, ok := process.probes[check.Probe]
	if !ok {
		return "", noProbe(check.Probe, process)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.costs[check.Probe] = d.Cost
	return d.Cost, nil
}

func noProbe(name string, process *pluginProcess) error {
	return fmt.Errorf("has no probe %q; it has %s", name, strings.Join(slices.Sorted(maps.Keys(process.probes)), ", "))
}

func (p *Plugins) observe(ctx context.Context, plugin string, check holdfast.Check, tools map[string]string) (holdfast.Observation, error) {
	cost, err := p.cost(ctx, plugin, check)
	if err != nil {
		return holdfast.Observation{}, err
	}
	h := p.hosts[plugin]
	if cost == holdfast.Heavy {
		h = p.heavy[plugin]
	}
	process, err := h.acquire(ctx)
	if err != nil {
		return holdfast.Observation{}, err
	}
	defer h.release(process, p.linger(check.Every))
	d, ok := process.probes[check.Probe]
	if !ok {
		return holdfast.Observation{}, noProbe(check.Probe, process)
	}
	request := &wirepb.ObserveRequest{
		Probe:     check.Probe,
		Check:     check.ID,
		Settings:  string(check.With),
		Tools:     tools,
		TimeoutNs: int64(24 * time.Hour),
		Call:      p.calls.Add(1),
	}
	if deadline, ok := ctx.Deadline(); ok {
		request.TimeoutNs = int64(time.Until(deadline))
	}
	if d.Privileges.Writes {
		scratch, err := os.MkdirTemp(p.scratch, "check-")
		if err != nil {
			return holdfast.Observation{}, fmt.Errorf("make scratch folder: %w", err)
		}
		defer func() {
			if err := removeTree(scratch); err != nil {
				h.log.Error("scratch folder stays", "check", check.ID, "error", err)
			}
		}()
		request.Scratch = scratch
		if p.config.Protected != nil {
			request.Protected = p.config.Protected()
		}
	}
	response, err := p.call(ctx, h, process, request)
	if err != nil {
		return holdfast.Observation{}, err
	}
	h.succeeded()
	return answer(response)
}

// call sends one request and returns when the plugin has answered or is dead,
// so that nothing uses the scratch folder afterwards.
func (p *Plugins) call(ctx context.Context, h *pluginHost, process *pluginProcess, request *wirepb.ObserveRequest) (*wirepb.ObserveResponse, error) {
	answered, ended := make(chan struct{}), make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(ended)
		p.endCall(ctx, h, process, request, answered)
	})
	response, err := observeRPC(context.WithoutCancel(ctx), process.rpc, request)
	close(answered)
	if !unwatch() {
		<-ended
	}
	if err == nil {
		return response, nil
	}
	switch status.Code(err) {
	case codes.NotFound:
		return nil, fmt.Errorf("has no probe %q", request.Probe)
	case codes.ResourceExhausted:
		h.fail(process, "answered with more than it may")
		return nil, fmt.Errorf("answered with more than %d MiB", replyMax>>20)
	case codes.Unavailable, codes.Canceled:
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s: killed because it did not end when its time was up: %w", request.Probe, ctx.Err())
		}
		return nil, fmt.Errorf("died during the call: %s", process.death())
	}
	h.fail(process, "answered with what is not an answer")
	return nil, fmt.Errorf("%s: not an answer: %s", request.Probe, status.Convert(err).Message())
}

// observeRPC passes progress on to whoever listens below ctx, and returns the answer.
func observeRPC(ctx context.Context, rpc wirepb.PluginClient, request *wirepb.ObserveRequest) (*wirepb.ObserveResponse, error) {
	ctx, cancel := context.WithCancel(ctx) // what follows an answer is of no interest
	defer cancel()
	stream, err := rpc.Observe(ctx, request)
	if err != nil {
		return nil, err
	}
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, status.Error(codes.Internal, "it ended without an answer")
		}
		if err != nil || response.GetProgress() == nil {
			return response, err
		}
		p := wire.ToPhase(response.GetProgress())
		probe.Progress(ctx, p.Name, p.Done, p.Total)
	}
}

// endCall ends a call whose time is up, gently, then by killing the plugin.
// At a deadline the plugin needs no telling: it was given the same one.
func (p *Plugins) endCall(ctx context.Context, h *pluginHost, process *pluginProcess, request *wirepb.ObserveRequest, answered <-chan struct{}) {
	patience := p.config.Grace
	if process.probes[request.Probe].Cost == holdfast.Heavy {
		patience = p.config.CleanUp
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if errors.Is(ctx.Err(), context.Canceled) {
		_, _ = process.rpc.Cancel(grace, &wirepb.CancelRequest{Call: request.Call})
	}
	select {
	case <-answered:
	case <-grace.Done():
		h.fail(process, fmt.Sprintf("%s for %s did not end when its time was up", request.Probe, request.Check))
	}
}

// answer reads a reply; it must be one or the other, and possible.
func answer(r *wirepb.ObserveResponse) (holdfast.Observation, error) {
	unable := r.GetUnable()
	if (unable == nil) == (r.GetObservation() == nil) {
		return holdfast.Observation{}, errors.New("impossible answer: neither facts nor an error, or both")
	}
	if unable != nil {
		reason := holdfast.Reason(unable.GetReason())
		if reason != "" && !slices.Contains(holdfast.Reasons, reason) {
			return holdfast.Observation{}, fmt.Errorf("impossible answer: reason %.40q is not in the list", reason)
		}
		return holdfast.Observation{}, probe.Unable(reason, "%.*s", holdfast.MaxText, unable.GetMessage())
	}
	o := wire.ToObservation(r.GetObservation())
	if o.Outcome == holdfast.OutcomeUnknown {
		return holdfast.Observation{}, errors.New("impossible answer: a probe that cannot tell answers with an error")
	}
	if err := o.Validate(); err != nil {
		return holdfast.Observation{}, fmt.Errorf("impossible answer: %w", err)
	}
	return o, nil
}

// linger is how long a plugin stays after a check that runs every so often.
func (p *Plugins) linger(every holdfast.Duration) time.Duration {
	if every == 0 || every >= onDemandEvery {
		return 0
	}
	return p.config.Idle
}

// Describe returns the description of one probe. An outside plugin is started
// for it when it does not run.
func (p *Plugins) Describe(ctx context.Context, probeName string) (holdfast.Description, error) {
	name, err := p.plugin(probeName)
	if err != nil {
		return holdfast.Description{}, err
	}
	h := p.hosts[name]
	all, err := p.describe(ctx, h)
	if err != nil {
		return holdfast.Description{}, err
	}
	for _, d := range all {
		if d.Name == probeName {
			return d, nil
		}
	}
	return holdfast.Description{}, fmt.Errorf("plugin %s: has no probe %q", h.name, probeName)
}

// Descriptions returns what every probe is, sorted by name. An outside plugin
// that cannot be asked is left out; the error names it.
func (p *Plugins) Descriptions(ctx context.Context) ([]holdfast.Description, error) {
	var all []holdfast.Description
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(p.hosts)) {
		some, err := p.describe(ctx, p.hosts[name])
		if err != nil {
			faults = append(faults, err)
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b holdfast.Description) int { return strings.Compare(a.Name, b.Name) })
	return all, errors.Join(faults...)
}

func (p *Plugins) describe(ctx context.Context, h *pluginHost) ([]holdfast.Description, error) {
	if known, ok := p.config.FirstParty[h.name]; ok {
		return known, nil
	}
	process, err := h.acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", h.name, err)
	}
	defer h.release(process, p.config.Idle)
	return slices.Collect(maps.Values(process.probes)), nil
}

// Health tells how the plugins fare that were started or failed to, sorted by
// name.
func (p *Plugins) Health() []holdfast.PluginHealth {
	var all []holdfast.PluginHealth
	for _, name := range slices.Sorted(maps.Keys(p.hosts)) {
		for _, h := range []*pluginHost{p.hosts[name], p.heavy[name]} {
			if health, used := h.fares(); used {
				all = append(all, health)
			}
		}
	}
	return all
}

// Close stops every plugin and returns when all are gone. Calls under way fail.
func (p *Plugins) Close() error {
	for name, h := range p.hosts {
		h.close()
		p.heavy[name].close()
	}
	p.work.Wait()
	p.quick.close()
	p.gentle.close()
	return emptyFolder(p.scratch)
}

func orElse(d, fallback time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return fallback
}

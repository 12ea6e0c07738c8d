// Package demo runs a small organisation on one machine, to see Holdfast at work:
// two sites, six services, data that is really backed up and really restored, a
// collector and two agents as processes of their own.
//
//	folder.go     the one folder everything is in
//	estate.go     what the organisation has: data, copies, certificates, plans
//	repository.go, key.go, archive.go, endpoint.go   what that is made of
//	catalogue.go  the catalogue it declares, and how it changes
//	process.go    collector and agents; the holdfast command
//	backups.go    the backup jobs, on schedule
//	people.go     what people enter: exercises, reviews, training
//	live.go       the troubles that come and go
//	desk.go       who is told of alerts
//
// The estate is real: repositories are restic's own, certificates expire, a
// damaged file is damaged. What people enter goes through "holdfast record". An
// exercise really restores, and its duration is what that took; only the people
// are invented.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Options are what a demo is started with.
type Options struct {
	Data   string        // the one folder it writes to
	Listen string        // of the pages, HOST:PORT on loopback; port 0: a free one
	Live   bool          // troubles come and go; else it stays calm
	Hold   time.Duration // how long a trouble is left to be looked at
	Call   string        // how people call holdfast, in hints
	Out    io.Writer
}

// Within how long things must happen; generous, as the machine may be slow.
const (
	startWithin = 30 * time.Second
	calmWithin  = 3 * time.Minute
)

// Demo is a running demo.
type Demo struct {
	Options
	folder *folder
	estate *estate
	terms  *terms
	jobs   *jobs
	people *people

	pages, agentsAddress string // HOST:PORT
	token                string // of the demo's own requests

	collector *process
	agents    map[string]*process
	desk      *desk
	fail      context.CancelCauseFunc // ends the demo, with the reason; set by work

	print sync.Mutex // held while a line is printed: the desk prints when it likes
}

// Run builds the estate, starts everything and keeps it going until ctx ends.
// Then nothing of it runs any more, and nothing is left but the folder.
func Run(ctx context.Context, o Options) (err error) {
	d := &Demo{Options: o, agents: map[string]*process{}}
	if d.pages, err = freeAddress(ctx, o.Listen); err != nil {
		return err
	}
	if d.agentsAddress, err = freeAddress(ctx, "127.0.0.1:0"); err != nil {
		return err
	}
	if d.folder, err = openFolder(o.Data); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.folder.close()) }()
	if d.estate, err = newEstate(d.folder.path, o.Live); err != nil {
		return err
	}
	defer d.estate.close()
	if err := d.build(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return d.work(ctx)
}

// work runs the estate until ctx ends, or something ends that should not.
func (d *Demo) work(outer context.Context) error {
	ctx, stop := context.WithCancelCause(outer)
	d.fail = stop
	working := make(chan struct{})
	go func() { defer close(working); d.jobs.run(ctx) }()
	err := d.start(ctx)
	switch {
	case err != nil:
	case d.Live:
		err = d.live(ctx)
	default:
		err = d.calm(ctx)
	}
	cause := context.Cause(ctx)
	stop(nil)
	d.stop()
	<-working
	switch {
	case outer.Err() != nil:
		return nil // somebody asked for the end
	case cause != nil:
		return cause
	}
	return err
}

// freeAddress reports whether an address on loopback can be listened on, and
// returns it with its port.
func freeAddress(ctx context.Context, address string) (string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("--listen %q: write it like 127.0.0.1:8480", address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", fmt.Errorf("--listen %s: the demo serves this machine alone\nhint: use 127.0.0.1; to reach it from elsewhere, forward the port: ssh -L 8480:127.0.0.1:8480 HOST", address)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("pages of the demo: %w\nhint: another program has that port, perhaps another demo; choose another one with --listen 127.0.0.1:8490 (make demo LISTEN=127.0.0.1:8490)", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// build makes the estate and the catalogue that declares it.
func (d *Demo) build(ctx context.Context) error {
	d.say("Building two sites, six services and their backups in %s …", d.Data)
	if d.folder.rebuilt {
		d.say("What an earlier demo left there is built anew.")
	}
	if d.estate.restic == "" {
		d.say("restic is not installed: this demo runs on file archives. Without it no restore test runs by itself; exercises restore.")
	}
	began := time.Now()
	if err := d.estate.build(ctx); err != nil {
		return fmt.Errorf("build the estate: %w", err)
	}
	d.terms = newTerms(d.estate)
	if err := d.terms.write(d.folder.catalogue()); err != nil {
		return fmt.Errorf("write the catalogue: %w", err)
	}
	var err error
	if d.jobs, err = newJobs(d.estate, d.folder.log("jobs")); err != nil {
		return err
	}
	d.say("Built in %s.", holdfast.Duration(time.Since(began).Round(time.Second)))
	return nil
}

// start starts collector and agents, enters what people have done, and waits
// until everything is judged.
func (d *Demo) start(ctx context.Context) error {
	began := time.Now()
	if err := d.startCollector(ctx); err != nil {
		return err
	}
	for name := range sites {
		if err := d.join(ctx, name); err != nil {
			return err
		}
		if err := d.startAgent(name); err != nil {
			return err
		}
	}
	if err := d.welcome(ctx); err != nil {
		return err
	}
	d.people = newPeople(d)
	if err := d.people.renew(ctx); err != nil {
		return err
	}
	d.say("Waiting until everything is judged …")
	err := d.await(ctx, calmWithin, func(s map[string]holdfast.Posture) bool {
		return len(s) >= len(services) && worst(s) == holdfast.Proven
	})
	switch {
	case errors.Is(err, errLate):
		d.say("Not calm after %s. This is how it stands:", holdfast.Duration(calmWithin))
	case err != nil:
		return err
	}
	table, err := d.holdfast(ctx, "status")
	if err != nil {
		return err
	}
	d.say("\n%s\n\nJudged %s after the build. Cadences that an organisation counts in weeks are minutes here.",
		strings.TrimRight(table, "\n"), holdfast.Duration(time.Since(began).Round(time.Second)))
	return nil
}

// startCollector starts the collector and waits until it answers.
func (d *Demo) startCollector(ctx context.Context) (err error) {
	var routes string
	if d.desk, routes, err = openDesk(ctx, d.folder.path, d.told); err != nil {
		return err
	}
	d.collector, err = d.run("collector", "collector", "--data", d.folder.collector(), "--catalog", d.folder.catalogue(),
		"--listen", d.pages, "--agents", d.agentsAddress, "--alerts", routes)
	if err != nil {
		return err
	}
	late := time.NewTimer(startWithin)
	defer late.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		d.token, err = d.holdfast(ctx, "collector", "user", "token", "--role", "admin", "demo", "--data", d.folder.collector())
		if err == nil {
			d.token = lastLine(d.token)
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late.C:
			return fmt.Errorf("the collector does not answer: %w", err)
		case <-again.C:
		}
	}
}

// join gets an agent its one-use token and writes its configuration.
func (d *Demo) join(ctx context.Context, name string) error {
	token, err := d.holdfast(ctx, "collector", "token", "--agent", name, "--site", sites[name], "--ttl", "10m", "--data", d.folder.collector())
	if err != nil {
		return fmt.Errorf("join token of %s: %w", name, err)
	}
	if err := os.WriteFile(d.folder.agent(name, ".token"), []byte(lastLine(token)+"\n"), 0o600); err != nil {
		return err
	}
	config := fmt.Sprintf(`# The agent's own configuration is law on its host: probes that read secrets or
# write run only when it names them.
data: %q
join: %q
token_file: %q
allow: [restic.*]
discover: off   # both agents stand on one machine, whose own databases are no part of the demo
`, d.folder.agent(name, ""), d.agentsAddress, d.folder.agent(name, ".token"))
	return os.WriteFile(d.folder.agent(name, ".yaml"), []byte(config), 0o600)
}

func (d *Demo) startAgent(name string) error {
	p, err := d.run(name, "agent", "--config", d.folder.agent(name, ".yaml"))
	if err == nil {
		d.agents[name] = p
	}
	return err
}

// welcome writes client.env and says where everything is.
func (d *Demo) welcome(ctx context.Context) error {
	env := fmt.Sprintf("HOLDFAST_URL=http://%s\nHOLDFAST_TOKEN=%s\nHOLDFAST_CA=\n", d.pages, d.token)
	if err := os.WriteFile(d.folder.client(), []byte(env), 0o600); err != nil {
		return err
	}
	link, err := d.holdfast(ctx, "collector", "user", "login", "you", "--data", d.folder.collector())
	if err != nil {
		return err
	}
	d.say("")
	d.say("  look      %s   (logs in once, within an hour)", lastLine(link))
	d.say("  ask       set -a; . %s; set +a; %s status", quotePath(d.folder.client()), d.Call)
	d.say("  catalogue %s   (edit it and watch)", d.folder.catalogue())
	d.say("  logs      %s", filepath.Join(d.folder.path, "*.log"))
	d.say("  stop      Ctrl-C; it leaves nothing running and nothing behind but %s", d.Data)
	d.say("")
	return nil
}

// stop ends agents and collector, in this order, so that nothing is lost.
func (d *Demo) stop() {
	d.say("Stopping …")
	for _, a := range d.agents {
		a.terminate()
	}
	for _, a := range d.agents {
		a.wait()
	}
	if d.collector != nil {
		d.collector.terminate()
		d.collector.wait()
	}
	if d.desk != nil {
		d.desk.close()
	}
	d.say("Nothing runs any more; everything the demo wrote is in %s.", d.Data)
}

// say prints a line for people.
func (d *Demo) say(format string, args ...any) {
	d.print.Lock()
	defer d.print.Unlock()
	fmt.Fprintf(d.Out, format+"\n", args...)
}

func lastLine(text string) string {
	text = strings.TrimRight(text, "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// quotePath quotes a path for a shell where it must be.
func quotePath(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

package agent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

const (
	replyMax   = 4 << 20         // bytes of one reply
	probesMax  = 64              // probes of one plugin
	stopWithin = 2 * time.Second // before a plugin that is asked to end is killed
)

// pluginEnv is all a plugin sees of the environment, beside what go-plugin adds
// and the variables of passedEnv that are set. One thread of Go and an eager
// collector: plugins rest most of the time and should be small.
var (
	pluginEnv = []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/usr/local/bin", "GOMAXPROCS=1", "GOGC=25"}
	passedEnv = []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} // where this host keeps its trusted roots
)

// pluginSpec says how a plugin is started.
type pluginSpec struct {
	name         string
	program      string // absolute path
	argv         []string
	external     bool
	sum          [32]byte // SHA-256 of the program, where external
	sockets      string
	startTimeout time.Duration
}

// pluginProcess is a running plugin.
type pluginProcess struct {
	name    string
	client  *plugin.Client
	runner  *pluginRunner
	rpc     wirepb.PluginClient
	probes  map[string]holdfast.Description
	said    *pluginWords
	flooded <-chan struct{}
	stopped sync.Once

	users int         // guarded by pluginHost.mu, as all below
	keep  time.Time   // not stopped for idleness before
	reap  *time.Timer // looks then
}

// startPlugin starts a plugin and asks what it is. On an error nothing of it is
// left.
func startPlugin(spec pluginSpec, l *launcher, log *slog.Logger) (*pluginProcess, error) {
	r, err := newPluginRunner(spec, l)
	if err != nil {
		return nil, err
	}
	p := &pluginProcess{name: spec.name, runner: r, said: newPluginWords(log)}
	p.flooded = p.said.flooded
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  probe.Handshake,
		Plugins:          plugin.PluginSet{"probes": pluginClient{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, socketDir string) (runner.Runner, error) {
			return r, r.prepare(cmd.Env, socketDir)
		},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     spec.startTimeout,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: spec.sockets},
		Stderr:           p.said,
		SyncStderr:       p.said,
		SyncStdout:       io.Discard,
		Logger:           hclog.NewNullLogger(), // what a plugin says is taken from Stderr, bounded
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(replyMax), grpc.MaxCallSendMsgSize(replyMax)),
			grpc.WithReadBufferSize(4 << 10), grpc.WithWriteBufferSize(4 << 10),
		},
	})
	// The handshake has its own limit; the first calls after it have not.
	late := time.AfterFunc(spec.startTimeout+time.Second, r.kill)
	err = p.connect(spec)
	if !late.Stop() && err == nil {
		err = errors.New("did not answer in time")
	}
	if err != nil {
		r.kill()
		p.stop()
		return nil, fmt.Errorf("start: %s%s", gist(err), p.said.last())
	}
	return p, nil
}

// gist leaves out the advice go-plugin adds for people who build plugins.
func gist(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Sprintf("%.300s", line)
}

func (p *pluginProcess) connect(spec pluginSpec) error {
	protocol, err := p.client.Client()
	if err != nil {
		return err
	}
	raw, err := protocol.Dispense("probes")
	if err != nil {
		return err
	}
	p.rpc = raw.(wirepb.PluginClient)
	ctx, cancel := context.WithTimeout(context.Background(), spec.startTimeout)
	defer cancel()
	response, err := p.rpc.Describe(ctx, &wirepb.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("ask what it is: %w", err)
	}
	if n := len(response.GetProbes()); n == 0 || n > probesMax {
		return fmt.Errorf("it has %d probes, want 1 to %d", n, probesMax)
	}
	p.probes = map[string]holdfast.Description{}
	for _, m := range response.GetProbes() {
		d := wire.ToDescription(m)
		if err := validDescription(spec.name, d); err != nil {
			return err
		}
		p.probes[d.Name] = d
	}
	return nil
}

// validDescription reports what an agent cannot take. The name of the plugin
// before the dot keeps a plugin from answering for another.
func validDescription(pluginName string, d holdfast.Description) error {
	var schema map[string]any
	switch {
	case !strings.HasPrefix(d.Name, pluginName+".") || len(d.Name) > holdfast.MaxName:
		return fmt.Errorf("its probe %.80q is not named %s.SOMETHING", d.Name, pluginName)
	case !slices.Contains([]holdfast.Cost{holdfast.Cheap, holdfast.IO, holdfast.Heavy}, d.Cost):
		return fmt.Errorf("its probe %s has cost %.40q, want cheap, io or heavy", d.Name, d.Cost)
	case json.Unmarshal([]byte(d.Settings), &schema) != nil:
		return fmt.Errorf("its probe %s has no JSON Schema of its settings", d.Name)
	}
	for _, r := range d.Reasons {
		if !slices.Contains(holdfast.Reasons, r) {
			return fmt.Errorf("its probe %s gives reason %.40q, which is not in the list", d.Name, r)
		}
	}
	return nil
}

// stop asks the plugin to end, kills it when it does not, and clears away what
// is left of it. It returns when the plugin is gone.
func (p *pluginProcess) stop() {
	p.stopped.Do(func() {
		late := time.AfterFunc(stopWithin, p.runner.kill)
		defer late.Stop()
		p.client.Kill()
		p.runner.cleanUp()
		p.said.close()
	})
}

// death says how the plugin ended, with its last words. It waits a moment for
// the end: the connection breaks a little earlier.
func (p *pluginProcess) death() string {
	moment := time.NewTimer(time.Second)
	defer moment.Stop()
	select {
	case <-p.runner.exited:
		return p.runner.status() + p.said.last()
	case <-moment.C:
		return "it closed the connection" + p.said.last()
	}
}

// pluginClient is the agent's side of a plugin for go-plugin.
type pluginClient struct {
	plugin.NetRPCUnsupportedPlugin
}

func (pluginClient) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("an agent serves no plugin")
}

func (pluginClient) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return wirepb.NewPluginClient(conn), nil
}

// checkSum reports whether an open program is the one that was agreed on.
func checkSum(f *os.File, want [32]byte) error {
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("read %s: %w", f.Name(), err)
	}
	if got := h.Sum(nil); !slices.Equal(got, want[:]) {
		return fmt.Errorf("%s has checksum sha256:%x, the agent's configuration says sha256:%x\nhint: if you replaced it on purpose, put the new checksum there", f.Name(), got, want)
	}
	return nil
}

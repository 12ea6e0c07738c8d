package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	pshost "github.com/shirou/gopsutil/v3/host"
	"golang.org/x/sys/unix"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// facts is the probe host.facts.
type facts struct{}

type factsSettings struct{}

func (facts) Describe() probe.Description {
	return probe.Description{
		Name:     "host.facts",
		Observes: "What the host is: operating system, kernel, installed packages and hypervisor, as parts of a fingerprint.",
		Settings: probe.Schema[factsSettings](),
		Cost:     holdfast.Cheap,
		Reasons:  []holdfast.Reason{holdfast.Timeout},
	}
}

func (facts) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	if _, err := probe.Decode[factsSettings](r.Settings); err != nil {
		return probe.Observation{}, err
	}
	root := os.DirFS("/")
	system, err := osName(root)
	if err != nil {
		return probe.Observation{}, err
	}
	kernel, machine, err := uname()
	if err != nil {
		return probe.Observation{}, err
	}
	o := probe.OK("%s, kernel %s", system, kernel)
	o.Fingerprint = map[string]string{"os": system, "kernel": kernel, "hypervisor": hypervisor(ctx)}
	o.Facts = map[string]string{"architecture": machine}
	installed, err := readPackages(ctx, root)
	switch {
	case ctx.Err() != nil:
		return probe.Observation{}, probe.Unable(holdfast.Timeout, "read packages: %w", ctx.Err())
	case err != nil:
		return probe.Observation{}, fmt.Errorf("read packages: %w", err)
	}
	o.Fingerprint["packages"] = installed.String()
	if installed.count > 0 {
		o.Measures = append(o.Measures, holdfast.Measure{Name: "packages", Value: float64(installed.count)})
	}
	if boot, err := pshost.BootTimeWithContext(ctx); err == nil {
		o.Facts["booted"] = time.Unix(int64(boot), 0).UTC().Format(time.RFC3339)
	}
	return o, nil
}

// osName reads the distribution's name and version from os-release(5), such as
// "debian 12". A host without the file is named by its kernel alone.
func osName(root fs.FS) (string, error) {
	for _, path := range []string{"etc/os-release", "usr/lib/os-release"} {
		f, err := root.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("open os-release: %w", err)
		}
		defer f.Close()
		is := map[string]string{}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			key, value, _ := strings.Cut(lines.Text(), "=")
			is[key] = strings.Trim(value, `"'`)
		}
		if err := lines.Err(); err != nil {
			return "", fmt.Errorf("read os-release: %w", err)
		}
		if is["ID"] != "" {
			return strings.TrimSpace(is["ID"] + " " + is["VERSION_ID"]), nil
		}
	}
	return runtime.GOOS, nil
}

func uname() (kernel, machine string, err error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", "", fmt.Errorf("ask the kernel for its name: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]), nil
}

// hypervisor says under what the host runs ("kvm guest") or what runs under it
// ("kvm host"); "none" where nothing shows.
func hypervisor(ctx context.Context) string {
	system, role, err := pshost.VirtualizationWithContext(ctx)
	if err != nil || system == "" {
		return "none"
	}
	return strings.TrimSpace(system + " " + role)
}

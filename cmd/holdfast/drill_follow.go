package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

const (
	followEvery = 500 * time.Millisecond
	// A collector that does not answer for a moment is asked again: drills outlive it.
	followPatience = 2 * time.Minute
)

// follower prints a drill as it goes: a line for every change, and on a terminal one
// that is written over with the clock.
type follower struct {
	cmd  *cobra.Command
	api  *client
	out  io.Writer
	tty  bool                            // out is a terminal
	in   *os.File                        // nil: nobody can be asked here
	said map[int]holdfast.DrillStepState // by step
	open bool                            // the last line on the terminal is written over
	next time.Time                       // when the phase is told again, elsewhere
	asks int                             // the step the prompt stands for; 0: none
}

func getDrill(ctx context.Context, api *client, id string) (web.OneDrill, error) {
	var a web.OneDrill
	err := api.do(ctx, "GET", "/drills/"+url.PathEscape(id), nil, &a)
	return a, err
}

// followDrill prints a drill until it is over. People are asked where there is a
// terminal.
func followDrill(cmd *cobra.Command, api *client, id, output string) error {
	f := &follower{cmd: cmd, api: api, out: cmd.OutOrStdout(), said: map[int]holdfast.DrillStepState{}}
	if output == "json" {
		f.out = io.Discard
	} else if out, ok := f.out.(*os.File); ok {
		f.tty = term.IsTerminal(int(out.Fd()))
	}
	if in, ok := cmd.InOrStdin().(*os.File); ok && f.tty && term.IsTerminal(int(in.Fd())) {
		f.in = in
	}
	d, err := f.run(cmd.Context(), id)
	f.clear()
	if cmd.Context().Err() != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "the drill goes on: holdfast drill show %s --follow, or holdfast drill cancel %s\n", clean(id), clean(id))
		return exitError{code: exitInterrupted}
	}
	if err != nil {
		return err
	}
	if output == "json" {
		err = writeJSON(cmd.OutOrStdout(), d)
	} else {
		fmt.Fprintln(f.out)
		err = writeEnd(f.out, &d)
	}
	if err == nil && d.Verdict != holdfast.DrillPassed {
		return exitError{code: exitBadAnswer}
	}
	return err
}

// run asks for the drill again and again until it is over.
func (f *follower) run(ctx context.Context, id string) (holdfast.Drill, error) {
	var silent time.Time // since when the collector does not answer
	for first := true; ; first = false {
		a, err := getDrill(ctx, f.api, id)
		var code exitError
		switch {
		case err == nil:
			silent = time.Time{}
			if first {
				fmt.Fprintf(f.out, "drill %s, started %s by %s\n%s\n", clean(id), a.Drill.Started.Format(time.RFC3339), clean(a.Drill.By), heading(&a.Drill))
			}
			f.show(&a.Drill, a.At)
			if !a.Drill.Running() {
				return a.Drill, nil
			}
		case errors.As(err, &code) && code.code == exitUnreachable && !first && ctx.Err() == nil:
			if silent.IsZero() {
				silent = time.Now()
				f.line("the collector does not answer; it is asked again")
			}
			if time.Since(silent) > followPatience {
				return a.Drill, err
			}
		default:
			return a.Drill, err
		}
		if err := f.wait(ctx, &a.Drill); err != nil {
			return a.Drill, err
		}
	}
}

// show prints what changed.
func (f *follower) show(d *holdfast.Drill, now time.Time) {
	for i := range d.Steps {
		x := &d.Steps[i]
		if x.State == holdfast.StepPlanned || f.said[x.Number] == x.State {
			continue
		}
		f.said[x.Number] = x.State
		f.line(stepLine(d, x, now))
		if x.Number == f.asks {
			f.asks = 0
		}
	}
	for i := range d.Steps {
		x := &d.Steps[i]
		switch {
		case x.State == holdfast.StepAsked && f.in != nil:
			if f.asks != x.Number {
				f.asks = x.Number
				fmt.Fprintf(f.out, "     done? Enter: by you; a name: by them; ! and why: it could not be done\n")
			}
			return
		case x.State == holdfast.StepRunning, x.State == holdfast.StepWaiting, x.State == holdfast.StepAsked:
			f.clock(d, x, now)
			return
		}
	}
}

// clock shows how long it takes until now: over and over on one line of a terminal,
// elsewhere every ten seconds where there is a phase to tell.
func (f *follower) clock(d *holdfast.Drill, x *holdfast.DrillStep, now time.Time) {
	text := "     " + brief(holdfast.Duration(now.Sub(d.Started)))
	if x.Phase != nil {
		text += "  " + phaseText(x.Phase)
	}
	switch {
	case f.tty:
		fmt.Fprint(f.out, "\r\x1b[K"+text)
		f.open = true
	case x.Phase != nil && !time.Now().Before(f.next):
		f.next = time.Now().Add(10 * time.Second)
		fmt.Fprintln(f.out, text)
	}
}

// line prints a line for good.
func (f *follower) line(text string) {
	f.clear()
	fmt.Fprintln(f.out, text)
}

func (f *follower) clear() {
	if f.open {
		fmt.Fprint(f.out, "\r\x1b[K")
		f.open = false
	}
}

// wait lets a moment pass, or takes what people type.
func (f *follower) wait(ctx context.Context, d *holdfast.Drill) error {
	if f.asks > 0 {
		typed, err := inputWaits(f.in, followEvery)
		if err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
		if typed {
			return f.answer(ctx, d)
		}
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(followEvery):
		return nil
	}
}

// answer sends what somebody typed. What is refused is told, and asked again.
func (f *follower) answer(ctx context.Context, d *holdfast.Drill) error {
	text, err := bufio.NewReaderSize(f.in, 4096).ReadString('\n')
	if errors.Is(err, io.EOF) { // nobody will type anything more
		f.in, f.asks = nil, 0
		return nil
	}
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	a := holdfast.DrillAnswer{By: strings.TrimSpace(text)}
	if why, failed := strings.CutPrefix(a.By, "!"); failed {
		a = holdfast.DrillAnswer{Failed: true, Note: strings.TrimSpace(why)}
	}
	err = f.api.do(ctx, "POST", fmt.Sprintf("/drills/%s/steps/%d", url.PathEscape(d.ID), f.asks), a, nil)
	f.asks = 0
	if err != nil {
		f.line(err.Error())
	}
	return nil
}

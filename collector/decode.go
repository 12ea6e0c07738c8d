package collector

import (
	"iter"
	"runtime"
)

// decodeAll decodes what a store yields on all cores and hands it on in the order
// it came. It stops at the first error.
func decodeAll[In, Out any](values iter.Seq2[In, error], decode func(In) (Out, error), take func(Out)) error {
	const together = 256 // values a goroutine decodes
	type part struct {
		in   []In
		out  []Out
		err  error
		done chan struct{}
	}
	var under []*part // under way, in order
	finish := func() error {
		p := under[0]
		under = under[1:]
		<-p.done
		for _, v := range p.out {
			take(v)
		}
		return p.err
	}
	defer func() {
		for _, p := range under {
			<-p.done
		}
	}()
	begin := func(in []In) {
		p := &part{in: in, done: make(chan struct{})}
		under = append(under, p)
		go func() {
			defer close(p.done)
			for _, v := range p.in {
				out, err := decode(v)
				if err != nil {
					p.err = err
					return
				}
				p.out = append(p.out, out)
			}
		}()
	}
	var in []In
	for v, err := range values {
		if err != nil {
			return err
		}
		if in = append(in, v); len(in) < together {
			continue
		}
		begin(in)
		in = nil
		if len(under) > 2*runtime.GOMAXPROCS(0) {
			if err := finish(); err != nil {
				return err
			}
		}
	}
	begin(in)
	for len(under) > 0 {
		if err := finish(); err != nil {
			return err
		}
	}
	return nil
}

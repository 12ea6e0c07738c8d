package agent_test

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// proxy stands between an agent and its collector and cuts connections with a
// reset.
type proxy struct {
	address string
	to      string
	all     sync.WaitGroup

	mu    sync.Mutex
	open  map[*net.TCPConn]bool // guarded by mu: both ends
	left  int                   // guarded by mu: bytes until the next cut; negative: none
	cut   int                   // guarded by mu: connections cut
	count int                   // guarded by mu: connections so far
	mute  int                   // guarded by mu: the connection whose answers stop; 0: none
	after int                   // guarded by mu: bytes of answers it still gets
	ice   chan struct{}         // guarded by mu: closed at the thaw; nil: nothing is frozen
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String(), to: to, open: map[*net.TCPConn]bool{}, left: -1}
	p.all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.carry(in.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.thaw()
		p.reset()
		p.all.Wait()
	})
	return p
}

func (p *proxy) carry(in *net.TCPConn) {
	defer in.Close()
	conn, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	out := conn.(*net.TCPConn)
	defer out.Close()
	p.mu.Lock()
	p.open[in], p.open[out] = true, true
	p.count++
	mine := p.count
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(out, in, func(int) bool { return true }) })
	both.Go(func() {
		p.copy(in, out, func(n int) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.mute != mine {
				return true
			}
			p.after -= n
			return p.after >= 0
		})
	})
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, in)
	delete(p.open, out)
}

// copy passes bytes on until a cut is due or pass says no more.
func (p *proxy) copy(to, from *net.TCPConn, pass func(n int) bool) {
	buf := make([]byte, 512)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		ice := p.ice
		p.mu.Unlock()
		if ice != nil {
			<-ice
			return // what was on its way is lost
		}
		if n > 0 && !pass(n) {
			p.reset()
			return
		}
		p.mu.Lock()
		due := p.left >= 0 && n >= p.left
		if p.left >= 0 {
			p.left -= n
		}
		p.mu.Unlock()
		if due {
			p.mu.Lock()
			p.left = -1
			p.mu.Unlock()
			p.reset()
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			if err == io.EOF {
				to.CloseWrite()
			} else {
				to.Close()
			}
			return
		}
	}
	from.Close()
}

// reset cuts every connection as a crashed router does: what was under way is lost.
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.SetLinger(0)
		c.Close()
		p.cut++
	}
	clear(p.open)
}

// freeze passes nothing on and closes nothing, like a host without power.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ice = make(chan struct{})
}

// thaw resets what was frozen and lets new connections through.
func (p *proxy) thaw() {
	p.mu.Lock()
	if p.ice != nil {
		close(p.ice)
		p.ice = nil
	}
	p.mu.Unlock()
	p.reset()
}

// cutSoon cuts within the next thousand bytes, which the next few reports have.
func (p *proxy) cutSoon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = rand.IntN(1000)
}

// dropAnswersAfter resets the n-th connection when the collector has answered so
// many bytes on it.
func (p *proxy) dropAnswersAfter(n, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute, p.after = n, bytes
}

// calm cuts no more.
func (p *proxy) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.mute = -1, 0
}

func (p *proxy) cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut / 2
}

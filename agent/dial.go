package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/holdfast-monitor/holdfast/wire"
)

// link is one connection to the collector.
type link struct {
	*grpc.ClientConn
	tls *tls.Conn // below
}

// Close ends the connection, whether it was used or not.
func (l *link) Close() error {
	return errors.Join(l.ClientConn.Close(), ignoreClosed(l.tls.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// connect opens one connection to the collector's agents' port, straight there:
// proxies of the environment are not asked. It is not opened again when it is
// lost.
func connect(ctx context.Context, address string, config *tls.Config) (*link, error) {
	config.NextProtos = []string{"h2"}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	raw, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, plain(err)
	}
	// TLS 1.3 judges the client's certificate after its end of the handshake. The
	// collector speaks first, or says what is wrong.
	first := make([]byte, 1)
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	_, err = io.ReadFull(raw, first)
	if !stop() {
		err = fmt.Errorf("%s says nothing after the handshake: is this the collector's agents' port? (%w)", address, ctx.Err())
	}
	if err != nil {
		return nil, errors.Join(plain(err), ignoreClosed(raw.Close()))
	}
	var taken atomic.Bool
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // TLS stands already, below
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if taken.Swap(true) {
				return nil, errors.New("connection lost")
			}
			return &begun{Conn: raw, first: first}, nil
		}),
		grpc.WithAuthority(wire.ServerName), grpc.WithDisableServiceConfig(),
		grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(4<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)), // an assignment of many checks
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return &link{conn, raw.(*tls.Conn)}, nil
}

// begun is a connection whose first byte was read already.
type begun struct {
	net.Conn
	first []byte // of the one goroutine that reads
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 && len(p) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

// errRanOut says that the certificate has run out: the agent recovers by its key.
var errRanOut = errors.New("the agent's certificate has run out")

// plain turns an error of a connection or call into one for people: what the
// collector said, or what TLS's few words mean here.
func plain(err error) error {
	if err == nil {
		return nil
	}
	st, _ := status.FromError(err)
	text := st.Message()
	for _, alert := range []struct{ says, means string }{
		{"tls: unknown certificate authority", "the collector does not know the authority of this agent's certificate: it was set up anew, or is another one; join again with a new token"},
		{"tls: bad certificate", "the collector refused this agent's certificate; its log says why; join again with a new token"},
		{"certificate signed by unknown authority", "this is not the collector the agent joined: its authority is another; if it was set up anew, join again with a new token"},
		{"certificate has expired or is not yet valid", "by this host's clock the collector's certificate does not hold: set the clock of the one that is wrong"},
		{"tls: protocol version not supported", "the other end does not speak TLS 1.3: is this the collector's agents' port?"},
		{"first record does not look like a TLS handshake", "the other end does not speak TLS: is this the collector's agents' port?"},
	} {
		if strings.Contains(text, alert.says) {
			return fmt.Errorf("%s (%s)", alert.means, alert.says)
		}
	}
	switch {
	case strings.Contains(text, "tls: expired certificate"), st.Code() == codes.Unauthenticated && strings.Contains(text, "ran out"):
		return errRanOut
	case st.Code() == codes.Unknown || st.Code() == codes.Unavailable:
		return errors.New(text)
	}
	return fmt.Errorf("the collector answers: %s", text)
}

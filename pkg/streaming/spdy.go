package streaming

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/moby/spdystream"
)

// The names that both ends of a stream agree on.
const (
	headerProtocol   = "X-Stream-Protocol-Version"
	headerStreamType = "streamType"
	headerPort       = "port"
	headerRequestID  = "requestID"

	spdyUpgrade = "SPDY/3.1"

	typeError  = "error"
	typeStdin  = "stdin"
	typeStdout = "stdout"
	typeStderr = "stderr"
	typeResize = "resize"
	typeData   = "data"

	commandV1 = "channel.k8s.io"
	commandV2 = "v2.channel.k8s.io"
	commandV3 = "v3.channel.k8s.io"
	commandV4 = "v4.channel.k8s.io"
	commandV5 = "v5.channel.k8s.io"

	commandV1Base64 = "base64.channel.k8s.io"
	commandV4Base64 = "v4.base64.channel.k8s.io"

	portForwardV1 = "portforward.k8s.io"
)

const (
	// streamAccepted is how long the other end may take to accept a stream.
	streamAccepted = 30 * time.Second
	// connectionDrained is how long it may take to hand out what came before a connection ended. Data waits for who
	// reads it, and nobody may while streams are opened.
	connectionDrained = 5 * time.Second
)

// refusal is a server's answer to a request to upgrade that it did not accept.
type refusal struct {
	code        int
	contentType string
	body        []byte
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the stream was refused with status %d: %s", r.code, r.body)
}

// upgraded asks a server to speak SPDY. It answers the connection and the protocol that was chosen.
func upgraded(ctx context.Context, transport http.RoundTripper, to *url.URL, protocols ...string) (io.ReadWriteCloser, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), nil)
	if err != nil {
		return nil, "", fmt.Errorf("asking for a stream: %w", err)
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", spdyUpgrade)
	for _, p := range protocols {
		request.Header.Add(headerProtocol, p)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return nil, "", fmt.Errorf("asking for a stream: %w", err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode < 400 {
			return nil, "", fmt.Errorf("the server answered a request for a stream with status %d, which is neither a stream nor a refusal", answer.StatusCode)
		}
		text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
		if err != nil {
			return nil, "", fmt.Errorf("reading why a stream was refused: %w", err)
		}
		return nil, "", &refusal{code: answer.StatusCode, contentType: answer.Header.Get("Content-Type"), body: text}
	}
	conn, ok := answer.Body.(io.ReadWriteCloser)
	if !ok || !hasToken(answer.Header, "Upgrade", spdyUpgrade) {
		_ = answer.Body.Close()
		return nil, "", errors.New("the server changed to another protocol than SPDY/3.1")
	}
	return conn, answer.Header.Get(headerProtocol), nil
}

// spdyClient is the end of a SPDY connection that opens streams. One goroutine opens them.
type spdyClient struct {
	*spdystream.Connection
	conn    io.Closer
	served  chan struct{} // closed when all that came was handed out
	streams []*spdystream.Stream
}

func newSPDYClient(conn io.ReadWriteCloser) (*spdyClient, error) {
	c, err := spdystream.NewConnection(asConn{conn}, false)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("beginning to speak SPDY: %w", err)
	}
	client := &spdyClient{Connection: c, conn: conn, served: make(chan struct{})}
	go func() {
		defer close(client.served)
		c.Serve(func(s *spdystream.Stream) { _ = s.Reset() }) // servers open none
	}()
	return client, nil
}

// end lets go of the connection. The library waits for whoever is to read what came on a stream, and for every stream:
// those that are left are reset.
func (c *spdyClient) end() {
	_ = c.conn.Close()
	for _, s := range c.streams {
		_ = s.Reset()
	}
	_ = c.Close()
}

// open opens a stream of a type, and waits until the server has accepted it. Who stops to read it before its end has to
// reset it.
func (c *spdyClient) open(streamType string, more http.Header) (*spdystream.Stream, error) {
	h := http.Header{}
	h.Set(headerStreamType, streamType)
	maps.Copy(h, more)
	s, err := c.CreateStream(h, nil, false)
	if s != nil {
		c.streams = append(c.streams, s)
	}
	if err == nil {
		err = c.accepted(s)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the %s stream: %w", streamType, err)
	}
	return s, nil
}

// accepted waits for the answer to a new stream. It may be among what the server said before it ended the connection;
// a stream that was made known to the library's reader after that gets none.
func (c *spdyClient) accepted(s *spdystream.Stream) error {
	answer := make(chan error, 1)
	go func() { answer <- s.WaitTimeout(streamAccepted) }()
	select {
	case err := <-answer:
		return err
	case <-c.CloseChan():
	}
	drained := time.NewTimer(connectionDrained)
	defer drained.Stop()
	select {
	case err := <-answer:
		return err
	case <-c.served:
	case <-drained.C:
	}
	select {
	case err := <-answer: // both were there
		return err
	default:
		return errors.New("the server ended the connection")
	}
}

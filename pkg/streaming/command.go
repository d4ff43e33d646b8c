package streaming

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
	"github.com/moby/spdystream"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Command says which streams a command that is run or attached to has.
type Command struct{ Stdin, Stdout, Stderr, TTY bool }

// Channels of a command in a WebSocket connection.
const (
	channelStdin  = 0
	channelStdout = 1
	channelStderr = 2
	channelError  = 3
	channelResize = 4
	channelClose  = 255
)

// Command connects the client with a command (exec, attach). SPDY is passed through as it is; WebSocket, in
// any of its protocols, is translated.
func (s *Stream) Command(w http.ResponseWriter, r *http.Request, c Command) {
	switch {
	case !IsUpgrade(r):
		s.failed(w, r, errUpgradeRequired())
	case IsWebSocket(r):
		s.translated(w, r, c)
	default:
		s.relay(w, r)
	}
}

func (s *Stream) translated(w http.ResponseWriter, r *http.Request, c Command) {
	protocol, err := chosen(r, commandV5, commandV4, commandV4Base64, commandV1, commandV1Base64)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	conn, version, ok := s.dial(w, r, commandV4, commandV3, commandV2, commandV1)
	if !ok {
		return
	}
	server, err := newSPDYClient(conn)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	defer server.end()
	t := &translation{server: server, conn: conn, statuses: version == commandV4}
	if err := t.open(c, version); err != nil {
		s.failed(w, r, err)
		return
	}
	ws, err := accept(w, r, protocol)
	if err != nil {
		return // the client has its answer
	}
	t.client, t.plain = newChannels(ws, protocol), protocol == "" || protocol == commandV1 || protocol == commandV1Base64
	t.run(c)
}

// translation connects the channels of a client with the streams of a server.
type translation struct {
	client *channels
	plain  bool // the client's protocol tells errors as text, and success by nothing
	server *spdyClient
	conn   io.Closer
	// statuses: the server tells how the command ended as a Status
	statuses bool

	failure, stdin, stdout, stderr, resize *spdystream.Stream
}

// open opens the streams in the order in which servers expect them.
func (t *translation) open(c Command, version string) (err error) {
	for _, s := range []struct {
		wanted     bool
		streamType string
		to         **spdystream.Stream
	}{
		{true, typeError, &t.failure},
		{c.Stdin, typeStdin, &t.stdin},
		{c.Stdout, typeStdout, &t.stdout},
		{c.Stderr && !c.TTY, typeStderr, &t.stderr},
		{c.TTY && (version == commandV4 || version == commandV3), typeResize, &t.resize},
	} {
		if !s.wanted {
			continue
		}
		if *s.to, err = t.server.open(s.streamType, nil); err != nil {
			return err
		}
	}
	return nil
}

// run carries data until the command has ended or the client has gone.
func (t *translation) run(c Command) {
	lowest := byte(channelError)
	switch {
	case c.Stdout:
		lowest = channelStdout
	case c.Stderr:
		lowest = channelStderr
	}
	_ = t.client.send(lowest, nil) // tells old clients that the connection stands
	go func() {
		t.fromClient()
		_ = t.conn.Close() // ends what is read from the server
	}()
	for _, stream := range []*spdystream.Stream{t.stdin, t.resize} {
		if stream != nil { // nothing is to come on it, and what does must not keep the connection from ending
			go func() { _, _ = io.Copy(io.Discard, stream) }()
		}
	}
	var outputs sync.WaitGroup
	for channel, stream := range map[byte]*spdystream.Stream{channelStdout: t.stdout, channelStderr: t.stderr} {
		if stream == nil {
			continue
		}
		outputs.Go(func() {
			if _, err := io.Copy(sender{t.client, channel}, stream); err != nil {
				_ = t.conn.Close() // the client has gone
				_ = stream.Reset()
			}
		})
	}
	end, err := io.ReadAll(t.failure)
	outputs.Wait()
	if err != nil || t.statuses && len(end) == 0 {
		t.client.finish(websocket.CloseInternalServerErr, "the connection to the container was lost")
		return
	}
	if message := t.ending(end); len(message) > 0 {
		_ = t.client.send(channelError, message)
	}
	t.client.finish(websocket.CloseNormalClosure, "")
}

// fromClient carries what the client sends, until it has gone.
func (t *translation) fromClient() {
	for {
		channel, data, err := t.client.receive()
		if err != nil {
			return
		}
		switch channel {
		case channelStdin:
			err = copyTo(t.stdin, data)
		case channelResize:
			err = copyTo(t.resize, data)
		case channelClose:
			var which [1]byte
			if _, err := io.ReadFull(data, which[:]); err == nil && which[0] == channelStdin && t.stdin != nil {
				_ = t.stdin.Close()
			}
		}
		if err != nil {
			// The command does not read any more; how it ended is still to come.
			_, _ = io.Copy(io.Discard, data)
		}
	}
}

func copyTo(stream *spdystream.Stream, data io.Reader) error {
	if stream == nil {
		return errors.New("there is no such stream")
	}
	_, err := io.Copy(stream, data)
	return err
}

// ending is what the client is told of how the command ended, in the words of its protocol.
func (t *translation) ending(said []byte) []byte {
	status := &metav1.Status{Status: metav1.StatusSuccess}
	if t.statuses {
		if err := json.Unmarshal(said, status); err != nil {
			status = &metav1.Status{Status: metav1.StatusFailure, Message: string(said)}
		}
	} else if len(said) > 0 {
		status = &metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError, Message: string(said), Code: http.StatusInternalServerError}
	}
	switch {
	case t.plain && status.Status == metav1.StatusSuccess:
		return nil
	case t.plain:
		return []byte(status.Message)
	case t.statuses:
		return said
	}
	encoded, err := json.Marshal(status)
	if err != nil {
		return []byte(err.Error())
	}
	return encoded
}

package streaming

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	headerWebSocketProtocol = "Sec-Websocket-Protocol"
	base64Prefix            = "base64."
	closeWait               = 5 * time.Second
)

// chosen picks the first protocol that the client offers and the server has, "" where the client offers none.
func chosen(r *http.Request, supported ...string) (string, error) {
	offered := websocket.Subprotocols(r)
	if len(offered) == 0 {
		return "", nil
	}
	for _, o := range offered {
		if slices.Contains(supported, o) {
			return o, nil
		}
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("none of the WebSocket protocols %v is supported here: use one of %v", offered, supported))
}

// accept turns the request into a WebSocket connection. Clients are known by credentials that no browser
// adds of itself, so that any origin may ask.
func accept(w http.ResponseWriter, r *http.Request, protocol string) (*websocket.Conn, error) {
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	if protocol != "" {
		up.Subprotocols = []string{protocol}
	}
	return up.Upgrade(w, r, nil)
}

// channels are several streams in one WebSocket connection: the first byte of each message is the channel.
// With base64 messages are text, and the first character the channel's digit.
type channels struct {
	ws     *websocket.Conn
	base64 bool
	mu     sync.Mutex // held while a message is written
}

func newChannels(ws *websocket.Conn, protocol string) *channels {
	return &channels{ws: ws, base64: isBase64(protocol)}
}

func isBase64(protocol string) bool { return strings.Contains(protocol, base64Prefix) }

// send sends one message.
func (c *channels) send(channel byte, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.base64 {
		text := base64.StdEncoding.AppendEncode([]byte{'0' + channel}, data)
		return c.ws.WriteMessage(websocket.TextMessage, text)
	}
	message, err := c.ws.NextWriter(websocket.BinaryMessage)
	if err != nil {
		return err
	}
	if _, err := message.Write([]byte{channel}); err != nil {
		return err
	}
	if _, err := message.Write(data); err != nil {
		return err
	}
	return message.Close()
}

// receive waits for the next message; its data must be read before the next call.
func (c *channels) receive() (channel byte, data io.Reader, err error) {
	for {
		_, message, err := c.ws.NextReader()
		if err != nil {
			return 0, nil, err
		}
		var first [1]byte
		if _, err := io.ReadFull(message, first[:]); err != nil {
			continue // an empty message
		}
		if !c.base64 {
			return first[0], message, nil
		}
		return first[0] - '0', base64.NewDecoder(base64.StdEncoding, message), nil
	}
}

// finish tells the client why nothing more follows, and closes.
func (c *channels) finish(code int, reason string) { finish(c.ws, code, reason) }

func finish(ws *websocket.Conn, code int, reason string) {
	_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(closeWait)) // it may have gone
	_ = ws.Close()
}

// sender writes to one channel.
type sender struct {
	to      *channels
	channel byte
}

func (s sender) Write(p []byte) (int, error) {
	if err := s.to.send(s.channel, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

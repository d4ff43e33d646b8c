package streaming

import (
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Messages is a WebSocket connection on which the server speaks and the client listens.
type Messages struct {
	ws   *websocket.Conn
	kind int
	gone chan struct{}
	once sync.Once
}

// IsSocket says whether a request asks for a WebSocket connection.
func IsSocket(r *http.Request) bool { return websocket.IsWebSocketUpgrade(r) }

// AcceptMessages turns the request into a connection of messages, as text or binary. Where an error comes back the
// client has had its answer.
func AcceptMessages(w http.ResponseWriter, r *http.Request, text bool) (*Messages, error) {
	protocol := ""
	if offered := websocket.Subprotocols(r); len(offered) > 0 {
		protocol = offered[0] // whatever it is called: there is but one
	}
	ws, err := accept(w, r, protocol)
	if err != nil {
		return nil, err
	}
	m := &Messages{ws: ws, kind: websocket.BinaryMessage, gone: make(chan struct{})}
	if text {
		m.kind = websocket.TextMessage
	}
	go m.listen()
	return m, nil
}

// listen reads, and passes over, what the client says, so that its close is heard and its pings are answered.
func (m *Messages) listen() {
	defer close(m.gone)
	for {
		if _, _, err := m.ws.NextReader(); err != nil {
			return
		}
	}
}

// Gone is closed when the client has.
func (m *Messages) Gone() <-chan struct{} { return m.gone }

// Send sends one message. One goroutine may send at a time.
func (m *Messages) Send(data []byte) error { return m.ws.WriteMessage(m.kind, data) }

// Close says goodbye and ends the connection.
func (m *Messages) Close() {
	m.once.Do(func() {
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		_ = m.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(closeWait))
		_ = m.ws.Close()
		<-m.gone
	})
}

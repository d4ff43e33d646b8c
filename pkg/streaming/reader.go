package streaming

import (
	"encoding/base64"
	"io"
	"net/http"

	"github.com/gorilla/websocket"
)

const (
	binaryProtocol       = "binary.k8s.io"
	base64BinaryProtocol = "base64.binary.k8s.io"
)

// Copy sends what is read to a WebSocket client, in messages, until the end or until the client has gone.
func Copy(w http.ResponseWriter, r *http.Request, from io.ReadCloser, fail Fail) {
	defer func() { _ = from.Close() }()
	protocol, err := chosen(r, binaryProtocol, base64BinaryProtocol)
	if err != nil {
		fail(w, r, err)
		return
	}
	ws, err := accept(w, r, protocol)
	if err != nil {
		return // the client has its answer
	}
	go func() {
		for {
			if _, _, err := ws.NextReader(); err != nil {
				_ = from.Close()
				return
			}
		}
	}()
	var to io.Writer = messages{ws}
	if protocol == base64BinaryProtocol {
		to = textMessages{ws}
	}
	if _, err := io.CopyBuffer(to, from, make([]byte, 4<<10)); err != nil {
		finish(ws, websocket.CloseInternalServerErr, "the source was lost")
		return
	}
	finish(ws, websocket.CloseNormalClosure, "")
}

// textMessages writes each piece as a message of base64 text.
type textMessages struct{ ws *websocket.Conn }

func (m textMessages) Write(p []byte) (int, error) {
	if err := m.ws.WriteMessage(websocket.TextMessage, base64.StdEncoding.AppendEncode(nil, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

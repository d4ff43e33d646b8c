package streaming

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/gorilla/websocket"
	"github.com/moby/spdystream"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const tunnelProtocol = spdyUpgrade + "+" + portForwardV1

// PortForward connects the client with ports of a pod. SPDY is passed through, also in the form in which it is
// wrapped into WebSocket; in the older WebSocket protocol, which is translated, the ports are those given.
func (s *Stream) PortForward(w http.ResponseWriter, r *http.Request, ports []uint16) {
	if !IsUpgrade(r) {
		s.failed(w, r, errUpgradeRequired())
		return
	}
	if !IsWebSocket(r) {
		s.relay(w, r)
		return
	}
	protocol, err := chosen(r, tunnelProtocol, commandV4, commandV4Base64, commandV1, commandV1Base64)
	if err == nil && protocol != tunnelProtocol && len(ports) == 0 {
		err = apierrors.NewBadRequest(`query parameter "port" is required`)
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	conn, _, ok := s.dial(w, r, portForwardV1)
	if !ok {
		return
	}
	defer func() { _ = conn.Close() }()
	if protocol == tunnelProtocol {
		s.tunnel(w, r, conn)
		return
	}
	server, err := newSPDYClient(conn)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	defer server.end()
	ws, err := accept(w, r, protocol)
	if err != nil {
		return // the client has its answer
	}
	forwardPorts(newChannels(ws, protocol), server, conn, ports)
}

// tunnel carries the client's SPDY, which is wrapped into WebSocket messages.
func (s *Stream) tunnel(w http.ResponseWriter, r *http.Request, conn io.ReadWriteCloser) {
	ws, err := accept(w, r, tunnelProtocol)
	if err != nil {
		return // the client has its answer
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = conn.Close() }()
		for {
			_, message, err := ws.NextReader()
			if err != nil {
				return
			}
			if _, err := io.Copy(conn, message); err != nil {
				return
			}
		}
	}()
	_, _ = io.Copy(messages{ws}, conn) // either end may go at any time
	finish(ws, websocket.CloseNormalClosure, "")
	<-done
}

// messages writes each piece as a message.
type messages struct{ ws *websocket.Conn }

func (m messages) Write(p []byte) (int, error) {
	if err := m.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// forwardPorts speaks the older protocol: port i has the channels 2i for data and 2i+1 for errors, on each of
// which the port's number is said first.
func forwardPorts(client *channels, server *spdyClient, conn io.Closer, ports []uint16) {
	var all sync.WaitGroup
	data := make([]*spdystream.Stream, len(ports))
	for i, port := range ports {
		number := binary.LittleEndian.AppendUint16(nil, port)
		dataChannel, errorChannel := byte(2*i), byte(2*i+1)
		if client.send(dataChannel, number) != nil || client.send(errorChannel, number) != nil {
			client.finish(websocket.CloseGoingAway, "")
			return
		}
		failure, stream, err := openPort(server, i, port)
		if err != nil {
			_ = client.send(errorChannel, []byte(err.Error()))
			continue
		}
		data[i] = stream
		all.Go(func() { deliver(client, errorChannel, failure) })
		all.Go(func() { deliver(client, dataChannel, stream) })
	}
	go func() {
		defer func() { _ = conn.Close() }()
		for {
			channel, from, err := client.receive()
			if err != nil {
				return
			}
			if i := int(channel / 2); channel%2 == 0 && i < len(data) && data[i] != nil {
				_, _ = io.Copy(data[i], from) // the port may be closed: its error channel tells
			}
		}
	}()
	all.Wait()
	client.finish(websocket.CloseNormalClosure, "")
}

// deliver sends the client what comes on a stream, until its end or until the client has gone.
func deliver(client *channels, channel byte, stream *spdystream.Stream) {
	if _, err := io.Copy(sender{client, channel}, stream); err != nil {
		_ = stream.Reset()
	}
}

// openPort opens the two streams of a port.
func openPort(server *spdyClient, i int, port uint16) (failure, data *spdystream.Stream, err error) {
	h := http.Header{}
	h.Set(headerPort, strconv.Itoa(int(port)))
	h.Set(headerRequestID, strconv.Itoa(i))
	if failure, err = server.open(typeError, h); err != nil {
		return nil, nil, fmt.Errorf("forwarding port %d: %w", port, err)
	}
	_ = failure.Close() // nothing is sent on it; the port may have failed already
	if data, err = server.open(typeData, h); err != nil {
		return nil, nil, fmt.Errorf("forwarding port %d: %w", port, err)
	}
	return failure, data, nil
}

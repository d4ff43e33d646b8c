package watchcheck

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Client asks servers over HTTP.
type Client struct {
	URLs  []string // of the servers
	Token string
	http  *http.Client
}

// NewClient makes a client with connections of its own. One with small buffers leaves what it does not read to
// the server.
func NewClient(urls []string, token string, http2, smallBuffers bool) *Client {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if tcp, is := conn.(*net.TCPConn); is && smallBuffers {
			err = tcp.SetReadBuffer(32 << 10)
		}
		return conn, err
	}
	return &Client{URLs: urls, Token: token, http: &http.Client{Transport: &http.Transport{
		DialContext: dial, ForceAttemptHTTP2: http2,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // who serves is not what is tested
	}}}
}

func (c *Client) send(ctx context.Context, server int, method, path, media, accept string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.URLs[server]+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.Token)
	r.Header.Set("Accept", accept)
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	return c.http.Do(r)
}

// patience is how long a client waits for an answer that is no stream.
const patience = 10 * time.Second

// Do asks for something and reads the whole answer. code is 0 where none came.
func (c *Client) Do(ctx context.Context, server int, method, path, media string, object any) (code int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var body []byte
	switch o := object.(type) {
	case nil:
	case string:
		body = []byte(o)
	default:
		if body, err = json.Marshal(o); err != nil {
			return 0, nil, err
		}
	}
	r, err := c.send(ctx, server, method, path, media, formatJSON, body)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = r.Body.Close() }()
	answer, err = io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, err
	}
	return r.StatusCode, answer, nil
}

// The forms in which events come.
const (
	formatJSON     = "application/json"
	formatPartial  = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	formatProtobuf = "application/vnd.kubernetes.protobuf;stream=watch"
)

// frames reads the events of a stream, one at a time.
type frames func() (eventType string, object metav1.Object, status *metav1.Status, err error)

func jsonFrames(r io.Reader) frames {
	lines := json.NewDecoder(r)
	return func() (string, metav1.Object, *metav1.Status, error) {
		var e struct {
			Type   string
			Object json.RawMessage
		}
		if err := lines.Decode(&e); err != nil {
			return "", nil, nil, err
		}
		if e.Type == "ERROR" {
			s := &metav1.Status{}
			return e.Type, nil, s, json.Unmarshal(e.Object, s)
		}
		u := &unstructured.Unstructured{}
		return e.Type, u, nil, json.Unmarshal(e.Object, &u.Object)
	}
}

func protobufFrames(r io.Reader, k *kind) frames {
	return func() (string, metav1.Object, *metav1.Status, error) {
		var length [4]byte
		if _, err := io.ReadFull(r, length[:]); err != nil {
			return "", nil, nil, err
		}
		frame := make([]byte, int(length[0])<<24|int(length[1])<<16|int(length[2])<<8|int(length[3]))
		if _, err := io.ReadFull(r, frame); err != nil {
			return "", nil, nil, err
		}
		var e metav1.WatchEvent
		if err := e.Unmarshal(frame); err != nil {
			return "", nil, nil, err
		}
		if e.Type == "ERROR" {
			return e.Type, nil, &metav1.Status{Message: fmt.Sprintf("%q", e.Object.Raw), Code: http.StatusGone}, nil
		}
		o, err := k.decode(e.Object.Raw)
		return e.Type, o, nil, err
	}
}

// event is what a frame tells.
func event(eventType string, o metav1.Object) (Event, error) {
	revision, err := strconv.ParseInt(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return Event{}, fmt.Errorf("%s has resourceVersion %q", eventType, o.GetResourceVersion())
	}
	return Event{Type: eventType, State: stateOf(o, revision), Whole: o.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"}, nil
}

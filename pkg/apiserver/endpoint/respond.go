package endpoint

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"sigs.k8s.io/yaml"

	"github.com/sampan-project/sampan/pkg/apiserver/kinds"
	"github.com/sampan-project/sampan/pkg/apiserver/objectjson"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// compressFrom is the size in bytes beyond which answers are compressed for clients that take gzip, as in
// kube-apiserver: below, the time is worth more than the bytes.
const compressFrom = 128 << 10

// marshal gives an object in a media type. The object must name its apiVersion and kind.
func marshal(o runtime.Object, f format) ([]byte, error) {
	switch f.media {
	case mediaProtobuf:
		var b bytes.Buffer
		if kind := o.GetObjectKind(); kind.GroupVersionKind().Version == "" { // JSON may do without, the envelope may not
			kind.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: kind.GroupVersionKind().Kind})
		}
		if err := protobuf.NewSerializer(kinds.Scheme(), kinds.Scheme()).Encode(o, &b); err != nil {
			return nil, err
		}
		return b.Bytes(), nil
	case mediaYAML:
		return yaml.Marshal(o)
	}
	if f.pretty {
		return json.MarshalIndent(o, "", "  ")
	}
	b, err := objectjson.Marshal(o)
	return append(b, '\n'), err
}

// write answers with an object.
func write(w http.ResponseWriter, r *http.Request, f format, code int, o runtime.Object) {
	body, err := marshal(o, f)
	if err != nil {
		fail(w, r, apierrors.NewInternalError(fmt.Errorf("encoding the answer: %w", err)))
		return
	}
	_ = writeBytes(w, r, f, code, body)
}

// writeBytes answers with bytes; an error says that the client did not get all of them.
func writeBytes(w http.ResponseWriter, r *http.Request, f format, code int, body []byte) error {
	header(w, r, f)
	return send(w, r, code, body)
}

// WriteTyped answers with an object in a media type, which the header says with parameters of the caller's.
func WriteTyped(w http.ResponseWriter, r *http.Request, media, params string, o runtime.Object) {
	body, err := marshal(o, format{media: media, pretty: wantsPretty(r)})
	if err != nil {
		fail(w, r, apierrors.NewInternalError(fmt.Errorf("encoding the answer: %w", err)))
		return
	}
	w.Header().Set("Content-Type", media+params)
	_ = send(w, r, http.StatusOK, body) // the client has gone where this fails
}

// send sends a body, compressed where it is large and its client takes that.
func send(w http.ResponseWriter, r *http.Request, code int, body []byte) error {
	if len(body) > compressFrom && TakesGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Add("Vary", "Accept-Encoding")
		w.WriteHeader(code)
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is valid
		_, err := z.Write(body)
		return errors.Join(err, z.Close())
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, err := w.Write(body)
	return err
}

// TakesGzip says whether a client names gzip as an encoding that it takes; with a quality it does not, as upstream reads it.
func TakesGzip(r *http.Request) bool {
	for token := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		if strings.TrimSpace(token) == "gzip" {
			return true
		}
	}
	return false
}

// header sets what every answer carries, the warnings collected so far among it.
func header(w http.ResponseWriter, r *http.Request, f format) {
	w.Header().Set("Content-Type", f.contentType())
	addWarnings(w, r)
}

func addWarnings(w http.ResponseWriter, r *http.Request) {
	for _, text := range request.WarningsOf(r.Context()) {
		w.Header().Add("Warning", "299 - "+quoted(text))
	}
}

// quoted is a text as RFC 7234 wants it in a Warning header. It has no control characters.
func quoted(s string) string {
	return `"` + escapes.Replace(s) + `"`
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// asStatus gives any error its Status.
func asStatus(err error) *metav1.Status {
	var s apierrors.APIStatus
	if errors.As(err, &s) {
		status := s.Status()
		if status.Status == "" {
			status.Status = metav1.StatusFailure
		}
		if status.Code == 0 { // whoever is asked elsewhere may have said none
			status.Code = http.StatusInternalServerError
		}
		status.Kind, status.APIVersion = "Status", "v1"
		return &status
	}
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error(),
	}
}

// fail answers with an error.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	status := asStatus(inTime(r, err))
	f, negotiated := negotiate(r, true, false)
	if negotiated != nil {
		f = format{media: mediaJSON}
	}
	f.as = ""
	if d := status.Details; d != nil && d.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(d.RetryAfterSeconds)))
	}
	if status.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="kubernetes-master"`)
	}
	write(w, r, f, int(status.Code), status)
}

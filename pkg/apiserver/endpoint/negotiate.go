package endpoint

import (
	"cmp"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// The media types that are spoken.
const (
	mediaJSON     = "application/json"
	mediaYAML     = "application/yaml"
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
)

// The forms in which a client may ask for objects.
const (
	asTable       = "Table"
	asPartial     = "PartialObjectMetadata"
	asPartialList = "PartialObjectMetadataList"
)

// format is how an answer is written.
type format struct {
	media  string
	as     string // "", or one of the forms above
	stream bool   // the client named stream=watch
	pretty bool
}

// encoding of the objects inside.
func (f format) encoding() watchcache.Encoding {
	if f.media == mediaProtobuf {
		return watchcache.Protobuf
	}
	return watchcache.JSON
}

func (f format) contentType() string {
	return f.media
}

// clause is one part of an Accept header.
type clause struct {
	media  string
	params map[string]string
	q      float64
}

func parseAccept(header string) (out []clause) {
	for _, part := range strings.Split(header, ",") {
		media, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil || media == "" {
			continue
		}
		c := clause{media: media, params: params, q: 1}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil {
			c.q = q
		}
		out = append(out, c)
	}
	// As upstream: higher q first, then the order of the header.
	slices.SortStableFunc(out, func(a, b clause) int { return cmp.Compare(b.q, a.q) })
	return out
}

// negotiate chooses the form of the answer. forms says which of the forms the endpoint can give, and
// protobuf whether its objects have that encoding.
func negotiate(r *http.Request, protobuf bool, forms ...string) (format, error) {
	pretty := wantsPretty(r)
	header := r.Header.Get("Accept")
	if header == "" {
		return format{media: mediaJSON, pretty: pretty}, nil
	}
	for _, c := range parseAccept(header) {
		media := c.media
		switch media {
		case "*/*", "application/*":
			media = mediaJSON
		case mediaJSON, mediaYAML:
		case mediaProtobuf:
			if !protobuf && c.params["as"] == "" {
				continue
			}
		default:
			continue
		}
		f := format{media: media, pretty: pretty, stream: c.params["stream"] == "watch"}
		as, group, version := c.params["as"], c.params["g"], c.params["v"]
		if as == "" {
			return f, nil
		}
		if group != metav1.GroupName || version != "v1" {
			continue
		}
		for _, form := range forms {
			if form == as {
				f.as = as
				return f, nil
			}
		}
	}
	return format{}, notAcceptable(protobuf, parseAccept(header))
}

// notAcceptable refuses what cannot be given: no known encoding in one way, forms in another.
func notAcceptable(protobuf bool, asked []clause) error {
	can := []string{mediaJSON, mediaYAML}
	if protobuf {
		can = append(can, mediaProtobuf)
	}
	encoded := slices.ContainsFunc(asked, func(c clause) bool { return c.media == "*/*" || slices.Contains(can, c.media) })
	if !encoded {
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable,
			Message: "406: Not Acceptable\n\nAvailable representations: " + strings.Join(can, ", "), Details: &metav1.StatusDetails{},
		}}
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable,
		Message: "only the following media types are accepted: " + strings.Join(can, ", "),
	}}
}

// wantsPretty says whether JSON is to be indented: asked for, or the client looks like a person's.
func wantsPretty(r *http.Request) bool {
	if p := r.URL.Query().Get("pretty"); p != "" {
		return truth(p)
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "curl") || strings.HasPrefix(agent, "Wget") || strings.HasPrefix(agent, "Mozilla/5.0")
}

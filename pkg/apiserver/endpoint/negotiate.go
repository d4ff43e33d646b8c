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
	"k8s.io/apimachinery/pkg/runtime/schema"

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
	media   string
	as      string // "", or one of the forms above
	version string // of the form: meta.k8s.io/v1 or v1beta1
	pretty  bool
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

// negotiate chooses the form of the answer. protobuf says that the objects have that encoding, and forms that
// they can be shown as a table or by their metadata.
func negotiate(r *http.Request, protobuf, forms bool) (format, error) {
	pretty := wantsPretty(r)
	header := r.Header.Get("Accept")
	if header == "" || header == mediaJSON { // as nearly all ask
		return format{media: mediaJSON, pretty: pretty}, nil
	}
	for _, c := range parseAccept(header) {
		f := format{media: c.media, pretty: pretty || c.params["pretty"] == "1"}
		switch c.media {
		case "*/*", "application/*":
			f.media = mediaJSON
		case mediaJSON, mediaYAML, mediaProtobuf:
		default:
			continue
		}
		if stream := c.params["stream"]; c.params["sv"] != "" || stream != "" && (stream != "watch" || f.media == mediaYAML) {
			continue
		}
		if c.asks("as", "g", "v") {
			f.as, f.version = c.params["as"], schema.GroupVersion{Group: c.params["g"], Version: c.params["v"]}.String()
			if !forms || !f.transforms() {
				continue
			}
		} else if f.media == mediaProtobuf && !protobuf {
			continue
		}
		return f, nil
	}
	return format{}, notAcceptable(mediaJSON, mediaYAML, mediaProtobuf)
}

// asks says whether a clause has any of some parameters.
func (c clause) asks(params ...string) bool {
	return slices.ContainsFunc(params, func(p string) bool { _, has := c.params[p]; return has })
}

// transforms says whether there is such a form in such an encoding.
func (f format) transforms() bool {
	if f.version != "meta.k8s.io/v1" && f.version != "meta.k8s.io/v1beta1" {
		return false
	}
	switch f.as {
	case asTable:
		return f.media != mediaProtobuf
	case asPartial, asPartialList:
		return true
	}
	return false
}

// notAcceptable refuses a form that cannot be given.
func notAcceptable(can ...string) error {
	return refusedForm("only the following media types are accepted: " + strings.Join(can, ", "))
}

func refusedForm(text string) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable, Message: text,
	}}
}

// representable refuses a request for a built-in kind that names no media type at all in which its paths
// answer, and before that a patch of no known type. It looks at the bare names only: what follows them is
// negotiate's.
func (s *Served) representable(r *http.Request, streams bool) error {
	if !s.protobuf() {
		return nil
	}
	if r.Method == http.MethodPatch {
		if _, err := s.patchType(r); err != nil {
			return err
		}
	}
	return representable(r, streams)
}

func representable(r *http.Request, streams bool) error {
	header := r.Header.Get("Accept")
	if header == "" {
		return nil
	}
	can := []string{mediaJSON, mediaYAML, mediaProtobuf}
	for part := range strings.SplitSeq(header, ",") {
		media, _, _ := strings.Cut(part, ";")
		if media = strings.Trim(media, " "); media == "*/*" || slices.Contains(can, media) {
			return nil
		}
	}
	if streams {
		can = append(can, mediaJSON+asStream, mediaProtobuf+asStream)
	}
	err := refusedForm("406: Not Acceptable\n\nAvailable representations: " + strings.Join(can, ", "))
	err.ErrStatus.Details = &metav1.StatusDetails{}
	return err
}

// asStream follows the media types in which events are sent.
const asStream = ";stream=watch"

// wantsPretty says whether JSON is to be indented: asked for, or the client looks like a person's.
func wantsPretty(r *http.Request) bool {
	if p := queryOf(r).Get("pretty"); p != "" {
		pretty, _ := strconv.ParseBool(p) // what is no boolean asks for nothing
		return pretty
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "curl") || strings.HasPrefix(agent, "Wget") || strings.HasPrefix(agent, "Mozilla/5.0")
}

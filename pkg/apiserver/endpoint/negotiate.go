package endpoint

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/munnerz/goautoneg"
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

// Accepted finds what an Accept header prefers, by quality and then the more specific before the less, among the media
// types that are spoken and fit.
func Accepted(header string, fits func(media string, params map[string]string) bool) (media string, params map[string]string, ok bool) {
	for _, c := range goautoneg.ParseAccept(header) {
		for _, media := range []string{mediaJSON, mediaYAML, mediaProtobuf} {
			kind, subtype, _ := strings.Cut(media, "/")
			if c.Type != kind && c.Type != "*" || c.SubType != subtype && c.SubType != "*" {
				continue
			}
			if stream := c.Params["stream"]; c.Params["sv"] != "" || stream != "" && (stream != "watch" || media == mediaYAML) {
				continue
			}
			if fits(media, c.Params) {
				return media, c.Params, true
			}
		}
	}
	return "", nil, false
}

// negotiate chooses the form of the answer. protobuf says that the objects have that encoding, and forms that
// they can be shown as a table or by their metadata.
func negotiate(r *http.Request, protobuf, forms bool) (f format, err error) {
	pretty := wantsPretty(r)
	header := r.Header.Get("Accept")
	if header == "" || header == mediaJSON { // as nearly all ask
		return format{media: mediaJSON, pretty: pretty}, nil
	}
	_, params, ok := Accepted(header, func(media string, params map[string]string) bool {
		f = format{media: media}
		if !asks(params, "as", "g", "v") {
			return protobuf || media != mediaProtobuf
		}
		f.as, f.version = params["as"], schema.GroupVersion{Group: params["g"], Version: params["v"]}.String()
		return forms && f.transforms()
	})
	if !ok {
		return format{}, NotAcceptable(mediaJSON, mediaYAML, mediaProtobuf)
	}
	f.pretty = pretty || params["pretty"] == "1"
	return f, nil
}

// asks says whether a media type has any of some parameters.
func asks(params map[string]string, names ...string) bool {
	return slices.ContainsFunc(names, func(p string) bool { _, has := params[p]; return has })
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

// NotAcceptable refuses a form that cannot be given.
func NotAcceptable(can ...string) error {
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

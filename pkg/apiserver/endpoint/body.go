package endpoint

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/sampan-project/sampan/pkg/apiserver/kinds"
	"github.com/sampan-project/sampan/pkg/apiserver/objectjson"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// trustedBody is up to which size in bytes room is made for a body because a client says that it is so long.
const trustedBody = 64 << 10

// readBody reads a whole request body.
func readBody(r *http.Request) (body []byte, err error) {
	if n := r.ContentLength; n > 0 && n <= trustedBody {
		body = make([]byte, n)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(r.Body, request.MaxBody+1))
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("reading the body: %v", err))
	}
	if len(body) > request.MaxBody {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", request.MaxBody))
	}
	return body, nil
}

// mediaOf gives the media type of a request's body.
func mediaOf(r *http.Request) (string, error) {
	header := r.Header.Get("Content-Type")
	if header == "" {
		return mediaJSON, nil
	}
	media, _, err := mime.ParseMediaType(header)
	if err != nil {
		return "", unsupported(header)
	}
	switch media {
	case mediaJSON, mediaYAML, mediaProtobuf:
		return media, nil
	}
	return "", unsupported(media)
}

func unsupported(media string, can ...string) error {
	if len(can) == 0 {
		can = []string{mediaJSON, mediaYAML, mediaProtobuf}
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType,
		Message: fmt.Sprintf("the body of the request was in an unknown format - accepted media types include: %s", strings.Join(can, ", ")),
	}}
}

// validation is what is done with fields of a body that nobody knows.
type validation string

// The values of fieldValidation.
const (
	validationIgnore validation = "Ignore"
	validationWarn   validation = "Warn"
	validationStrict validation = "Strict"
)

func validationOf(s string) validation {
	if s == "" {
		return validationWarn
	}
	return validation(s)
}

// serializerOf is the library's reader of a media type.
func serializerOf(media string, strict bool) runtime.Serializer {
	s := kinds.Scheme()
	if media == mediaProtobuf {
		return protobuf.NewSerializer(s, s)
	}
	return jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory, s, s, jsonserializer.SerializerOptions{Yaml: media == mediaYAML, Strict: strict})
}

// decode reads an object of the expected kind, or of another version that is taken for it. What is wrong with
// it is a 400 in upstream's words; unknown and duplicate fields are refused, warned of or passed over as the
// request asks.
func decode(r *http.Request, media string, body []byte, kind schema.GroupVersionKind, into runtime.Object, strict validation, also ...schema.GroupVersion) error {
	return decodeFitting(r, media, body, kind, into, strict, nil, also...)
}

// fitter makes what was decoded fit its kind: see resource.Definition's Fit.
type fitter func(obj resource.Object, strict bool) (unknown []string, err error)

// decodeFitting is decode for a kind that Go's types do not tell all about.
func decodeFitting(r *http.Request, media string, body []byte, kind schema.GroupVersionKind, into runtime.Object, strict validation, fit fitter, also ...schema.GroupVersion) error {
	gvk, err := decodeInto(strict != validationIgnore, media, body, kind, into, fit)
	if err != nil && runtime.IsStrictDecodingError(err) && strict == validationWarn {
		warnStrict(r, err)
		err = nil
	}
	if err != nil {
		return badBody(err, body, kind, gvk)
	}
	if version := gvk.GroupVersion(); version != kind.GroupVersion() && !slices.Contains(also, version) {
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)", version, kind.GroupVersion()))
	}
	if fit == nil { // else what the object claims to be is judged with the rest of it
		into.GetObjectKind().SetGroupVersionKind(kind)
	}
	return nil
}

// decodeInto reads an object and says what it claims to be. A strict error comes with a whole object.
func decodeInto(strict bool, media string, body []byte, kind schema.GroupVersionKind, into runtime.Object, fit fitter) (*schema.GroupVersionKind, error) {
	if media == mediaYAML {
		if err := checkYAML(body); err != nil {
			return nil, err
		}
	}
	if media == mediaJSON && fit == nil && readFaultless(body, kind, into) {
		return &kind, nil
	}
	obj, gvk, err := serializerOf(media, strict).Decode(body, &kind, into)
	if fit != nil && (err == nil || runtime.IsStrictDecodingError(err) && obj != nil) {
		return gvk, fitted(into.(resource.Object), strict, fit, err)
	}
	switch {
	case err != nil && runtime.IsNotRegisteredError(err) && gvk != nil:
		return gvk, runtime.NewNotRegisteredErrForKind(kinds.SchemeName, *gvk)
	case err != nil && (!runtime.IsStrictDecodingError(err) || obj == nil):
		return gvk, err
	case obj != into && gvk.Kind != kind.Kind:
		return gvk, kinds.Unconvertible(obj, kind)
	case obj != into: // another version of the kind
		if media == mediaYAML {
			body, err = yaml.YAMLToJSON(body)
		}
		if err == nil && media != mediaProtobuf {
			err = kjson.UnmarshalCaseSensitivePreserveInts(body, into)
		}
	}
	return gvk, err
}

// readFaultless reads JSON in which there is nothing to find fault with: it is an object of the kind, or does not
// say of which, and has no field twice and none that is unknown. It answers false for any other, for the library
// to read anew and to put its faults into words; into is then as it was.
func readFaultless(body []byte, kind schema.GroupVersionKind, into runtime.Object) bool {
	v := reflect.ValueOf(into).Elem()
	if !v.IsZero() {
		return false
	}
	if objectjson.UnmarshalStrict(body, into) {
		claims, is := into.GetObjectKind().(*metav1.TypeMeta)
		if is && (claims.APIVersion == "" || claims.APIVersion == kind.GroupVersion().String()) && (claims.Kind == "" || claims.Kind == kind.Kind) {
			return true
		}
	}
	v.SetZero()
	return false
}

// fitted makes an object fit its kind, and adds what nobody knows of it to the faults found before.
func fitted(obj resource.Object, strict bool, fit fitter, before error) error {
	unknown, err := fit(obj, strict)
	if err != nil {
		return err
	}
	if len(unknown) == 0 {
		return before
	}
	var faults []error
	if list, ok := runtime.AsStrictDecodingError(before); ok {
		faults = list.Errors()
	}
	for _, path := range unknown {
		faults = append(faults, errors.New(`unknown field "`+path+`"`)) // as it is, whatever is in it
	}
	return runtime.NewStrictDecodingError(faults)
}

// warnStrict warns of fields that stand twice or that nobody knows.
func warnStrict(r *http.Request, err error) {
	faults := strictFaults(err)
	if faults == nil {
		faults = []string{err.Error()}
	}
	for _, text := range faults {
		for _, line := range yamlFaults(text) {
			request.Warn(r.Context(), line)
		}
	}
}

// yamlFaults are the single faults that the YAML decoder tells in lines under one heading.
func yamlFaults(text string) []string {
	lines, is := strings.CutPrefix(strings.TrimPrefix(text, "error converting YAML to JSON: "), "yaml: unmarshal errors:\n")
	if !is {
		return []string{text}
	}
	out := strings.Split(lines, "\n")
	for i, line := range out {
		out[i] = strings.TrimSpace(line)
	}
	return out
}

// strictFaults are the single faults of a strict error.
func strictFaults(err error) (out []string) {
	var list interface{ Errors() []error }
	if errors.As(err, &list) {
		for _, e := range list.Errors() {
			out = append(out, e.Error())
		}
	}
	return out
}

func badBody(err error, body []byte, kind schema.GroupVersionKind, gvk *schema.GroupVersionKind) error {
	if gvk != nil && gvk.Kind != "" {
		return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", gvk.Kind, gvk.Version, kind.Kind, err))
	}
	return apierrors.NewBadRequest(fmt.Sprintf("the object provided is unrecognized (must be of type %s): %v (%s)", kind.Kind, err, shown(body)))
}

// shown is the beginning of a body, in hexadecimal where it is no JSON object.
func shown(body []byte) string {
	const most = 30
	text := fmt.Sprintf("%x", body[:min(len(body), most)])
	switch {
	case len(body) == 0:
		return "<empty>"
	case body[0] == '{':
		text = string(body[:min(len(body), most)])
	}
	if len(body) > most {
		text += " ..."
	}
	return text
}

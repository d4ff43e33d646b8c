package endpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// maxBody is the largest request body in bytes.
const maxBody = 3 << 20

// readBody reads a whole request body.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("reading the body: %v", err))
	}
	if len(body) > maxBody {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", maxBody))
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

func serializers(strict bool) map[string]runtime.Serializer {
	s := scheme.Scheme
	return map[string]runtime.Serializer{
		mediaJSON:     jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory, s, s, jsonserializer.SerializerOptions{Strict: strict}),
		mediaYAML:     jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory, s, s, jsonserializer.SerializerOptions{Yaml: true, Strict: strict}),
		mediaProtobuf: protobuf.NewSerializer(s, s),
	}
}

// decode reads an object of the expected kind. What is wrong with it is a 400 in upstream's words; unknown
// and duplicate fields are refused, warned of or passed over as the request asks.
func decode(r *http.Request, media string, body []byte, kind schema.GroupVersionKind, into runtime.Object, strict validation) error {
	if media != mediaProtobuf {
		if err := checkDepth(body, media); err != nil {
			return err
		}
	}
	obj, gvk, err := serializers(strict != validationIgnore)[media].Decode(body, &kind, into)
	if err != nil && runtime.IsStrictDecodingError(err) && obj != nil {
		if err := tellStrict(r, err, strict); err != nil {
			return err
		}
		err = nil
	}
	if err != nil {
		return badBody(err, body, kind, into)
	}
	if gvk.GroupVersion() != kind.GroupVersion() {
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)", gvk.GroupVersion(), kind.GroupVersion()))
	}
	if gvk.Kind != kind.Kind {
		return apierrors.NewBadRequest(fmt.Sprintf("the object provided is unrecognized (must be of type %s): %s", kind.Kind, shown(body, gvk)))
	}
	into.GetObjectKind().SetGroupVersionKind(kind)
	return nil
}

// tellStrict refuses or warns of fields that nobody knows.
func tellStrict(r *http.Request, err error, strict validation) error {
	if strict == validationStrict {
		return apierrors.NewBadRequest(err.Error())
	}
	var list interface{ Errors() []error }
	if errors.As(err, &list) {
		for _, e := range list.Errors() {
			request.Warn(r.Context(), e.Error())
		}
	}
	return nil
}

func badBody(err error, body []byte, kind schema.GroupVersionKind, into runtime.Object) error {
	if runtime.IsNotRegisteredError(err) || runtime.IsMissingKind(err) || runtime.IsMissingVersion(err) {
		return apierrors.NewBadRequest(err.Error())
	}
	version := kind.Version
	return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", kind.Kind, version, kind.Kind, err))
}

func shown(body []byte, gvk *schema.GroupVersionKind) string {
	const most = 128
	text := string(body)
	if len(text) > most {
		text = text[:most] + " ..."
	}
	return fmt.Sprintf("couldn't get version/kind; json parse error: %s", text)
}

// maxDepth is how deep JSON and YAML may nest.
const maxDepth = 10000

// checkDepth refuses bodies that nest too deep before anyone recurses into them.
func checkDepth(body []byte, media string) error {
	depth, inString, escaped := 0, false, false
	if media == mediaYAML && !bytes.ContainsAny(body, "{[") {
		return nil
	}
	for _, c := range body {
		switch {
		case escaped:
			escaped = false
		case inString:
			switch c {
			case '\\':
				escaped = true
			case '"':
				inString = false
			}
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return apierrors.NewBadRequest("exceeded max depth")
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

package endpoint

import (
	"bytes"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	goyaml "sigs.k8s.io/yaml/goyaml.v2"
)

// maxDepth is how deep YAML may nest, as JSON may.
const maxDepth = 10000

// errAliases is in the words of the parser, which finds only aliases that make many nodes.
var errAliases = errors.New("yaml: document contains excessive aliasing")

// checkYAML refuses what would take more room than its own bytes before anyone turns it into JSON.
func checkYAML(body []byte) error {
	if err := checkDepth(body); err != nil {
		return err
	}
	return checkAliases(body)
}

// checkDepth refuses bodies that nest too deep before anyone recurses into them. Nesting by indentation is
// bounded by the parser.
func checkDepth(body []byte) error {
	depth, inString, escaped := 0, false, false
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

// checkAliases refuses a body that its aliases make larger than a body may be. The parser counts nodes, but
// one alias may stand for a megabyte of text: its decoded form shares the text, its JSON repeats it.
func checkAliases(body []byte) error {
	if bytes.IndexByte(body, '&') < 0 || bytes.IndexByte(body, '*') < 0 {
		return nil
	}
	var v any
	if err := goyaml.Unmarshal(body, &v); err != nil {
		return nil //nolint:nilerr // who reads it for its content says what is wrong
	}
	if room := maxBody; !fits(v, &room) {
		return errAliases
	}
	return nil
}

// fits takes what a decoded value needs in JSON from the room, and says whether it was enough.
func fits(v any, room *int) bool {
	*room -= 2 // quotes or brackets, and about what a number or a comma takes
	switch v := v.(type) {
	case string:
		*room -= len(v)
	case []any:
		for _, e := range v {
			if !fits(e, room) {
				return false
			}
		}
	case map[any]any:
		for k, e := range v {
			if !fits(k, room) || !fits(e, room) {
				return false
			}
		}
	}
	return *room >= 0
}

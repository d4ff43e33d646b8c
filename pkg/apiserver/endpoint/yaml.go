package endpoint

import (
	"bytes"
	"errors"
	"strings"

	goyaml "sigs.k8s.io/yaml/goyaml.v2"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// errAliases is in the words of the parser, which finds only aliases that make many nodes.
var errAliases = errors.New("yaml: document contains excessive aliasing")

// checkYAML refuses a body that its aliases make larger than a body may be, before anyone turns it into JSON.
// The parser counts nodes, but one alias may stand for a megabyte of text: its decoded form shares the text,
// its JSON repeats it. How deep YAML may nest is the parser's to bound.
func checkYAML(body []byte) error {
	if bytes.IndexByte(body, '&') < 0 || bytes.IndexByte(body, '*') < 0 {
		return nil
	}
	var v any
	if err := goyaml.Unmarshal(body, &v); err != nil {
		if strings.HasSuffix(err.Error(), "excessive aliasing") {
			return errAliases
		}
		return nil //nolint:nilerr // who reads it for its content says what is wrong
	}
	if room := request.MaxBody; !fits(v, &room) {
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

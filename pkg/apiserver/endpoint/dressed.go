package endpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"sigs.k8s.io/yaml"
)

// dresses says whether an answer is more than compact JSON, of which it is made.
func (f format) dresses() bool {
	return f.media == mediaYAML || f.media == mediaJSON && f.pretty
}

// undressed is the form of which this one is made.
func (f format) undressed() format {
	if f.dresses() {
		f.media, f.pretty = mediaJSON, false
	}
	return f
}

// dressed gives compact JSON in the form that a client asked for.
func dressed(b []byte, f format) ([]byte, error) {
	switch {
	case f.media == mediaYAML:
		return yaml.JSONToYAML(b)
	case f.pretty:
		var out bytes.Buffer
		if err := json.Indent(&out, b, "", "  "); err != nil {
			return nil, err
		}
		return out.Bytes(), nil
	}
	return append(slices.Clip(b), '\n'), nil
}

// between stands between the items of a list.
func (f format) between() string {
	switch {
	case f.media == mediaYAML:
		return ""
	case f.pretty:
		return ",\n    "
	}
	return ","
}

// errDressed says that the libraries do not write what this file was made for.
var errDressed = errors.New("an item of a list has another form than expected")

// dressedItems gives items with commas between them, in compact JSON, as they stand in a list. They are dressed in a
// list of their own, in which they are indented, folded and nested as in any; another field behind them makes sure
// that none of them is the end of it.
func dressedItems(items []byte, f format) ([]byte, error) {
	const before, behind = `{"a":[`, `],"b":0}`
	list := make([]byte, 0, len(before)+len(items)+len(behind))
	list, err := dressed(append(append(append(list, before...), items...), behind...), f)
	if err != nil {
		return nil, err
	}
	head, tail := "{\n  \"a\": [\n    ", "\n  ],\n  \"b\": 0\n}"
	if f.media == mediaYAML {
		head, tail = "a:\n", "b: 0\n"
	}
	out, begins := bytes.CutPrefix(list, []byte(head))
	out, ends := bytes.CutSuffix(out, []byte(tail))
	if !begins || !ends {
		return nil, errDressed
	}
	return out, nil
}

// frame is what stands before and behind the items of a list.
type frame struct{ head, tail []byte }

// framed gives the frame of a list in a form, of which before is what stands before the items' array in compact JSON,
// where nothing follows them. In YAML fields are sorted, so that some do. No other line is like that of the one item
// that the list is dressed with: other lists of scalars, and texts, are indented.
func framed(before []byte, f format) (frame, error) {
	if !f.dresses() {
		return frame{append(slices.Clip(before), '['), []byte("]}")}, nil
	}
	list, err := dressed(append(slices.Clip(before), "[0]}"...), f)
	if err != nil {
		return frame{}, err
	}
	if f.media == mediaYAML {
		head, tail, found := bytes.Cut(list, []byte("\n- 0\n"))
		if !found {
			return frame{}, errDressed
		}
		return frame{list[:len(head)+1], tail}, nil
	}
	tail := []byte("\n  ]\n}")
	head, found := bytes.CutSuffix(list, append([]byte("0"), tail...))
	if !found {
		return frame{}, errDressed
	}
	return frame{head, tail}, nil
}

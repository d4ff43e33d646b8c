package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
)

// recorded keeps what was given to a flag, so that it can be given again to another configuration.
type recorded struct {
	pflag.Value
	raw []string
}

// Set implements pflag.Value.
func (r *recorded) Set(s string) error {
	if err := r.Value.Set(s); err != nil {
		return err
	}
	r.raw = append(r.raw, s)
	return nil
}

// pairs is a flag of comma-separated keys and values. What is given first replaces the default.
type pairs struct {
	target *map[string]string
	sep    string
	given  bool
}

func (p *pairs) String() string {
	if p.target == nil {
		return ""
	}
	var list []string
	for _, k := range slices.Sorted(maps.Keys(*p.target)) {
		list = append(list, k+p.sep+(*p.target)[k])
	}
	return strings.Join(list, ",")
}

func (p *pairs) Type() string { return "mapStringString" }

func (p *pairs) Set(s string) error {
	if !p.given {
		*p.target, p.given = map[string]string{}, true
	}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		key, value, ok := strings.Cut(item, p.sep)
		if !ok {
			return fmt.Errorf("malformed pair, expect string%sstring, not %q", p.sep, item)
		}
		(*p.target)[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return nil
}

// switches is a flag of names that are on or off.
type switches struct{ target *map[string]bool }

func (v *switches) String() string {
	if v.target == nil {
		return ""
	}
	var list []string
	for _, k := range slices.Sorted(maps.Keys(*v.target)) {
		list = append(list, k+"="+strconv.FormatBool((*v.target)[k]))
	}
	return strings.Join(list, ",")
}

func (v *switches) Type() string { return "mapStringBool" }

func (v *switches) Set(s string) error {
	if *v.target == nil {
		*v.target = map[string]bool{}
	}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		key, value, ok := strings.Cut(item, "=")
		on, err := strconv.ParseBool(strings.TrimSpace(value))
		if !ok || err != nil {
			return fmt.Errorf("%q is not NAME=true or NAME=false", item)
		}
		(*v.target)[strings.TrimSpace(key)] = on
	}
	return nil
}

// taints is the flag --register-with-taints.
type taints struct{ target *[]corev1.Taint }

func (v *taints) String() string {
	if v.target == nil {
		return ""
	}
	var list []string
	for _, t := range *v.target {
		list = append(list, t.ToString())
	}
	return strings.Join(list, ",")
}

func (v *taints) Type() string { return "[]v1.Taint" }

func (v *taints) Set(s string) error {
	*v.target = nil
	for item := range strings.SplitSeq(s, ",") {
		if item == "" {
			continue
		}
		t, err := parseTaint(item)
		if err != nil {
			return err
		}
		*v.target = append(*v.target, t)
	}
	return nil
}

func parseTaint(s string) (corev1.Taint, error) {
	rest, effect, ok := strings.Cut(s, ":")
	key, value, _ := strings.Cut(rest, "=")
	t := corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}
	if !ok || key == "" {
		return t, fmt.Errorf("invalid taint %q: write KEY=VALUE:EFFECT or KEY:EFFECT", s)
	}
	switch t.Effect {
	case corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		return t, nil
	}
	return t, fmt.Errorf("invalid taint %q: the effect is NoSchedule, PreferNoSchedule or NoExecute", s)
}

// headers is the flag --manifest-url-header.
type headers struct{ target *map[string][]string }

func (v *headers) String() string { return "" } // may hold credentials

func (v *headers) Type() string { return "colonSeparatedMultimapStringString" }

func (v *headers) Set(s string) error {
	if *v.target == nil {
		*v.target = map[string][]string{}
	}
	for item := range strings.SplitSeq(s, ",") {
		if item == "" {
			continue
		}
		key, value, ok := strings.Cut(item, ":")
		if !ok {
			return errors.New("malformed pair, expect string:string")
		}
		(*v.target)[key] = append((*v.target)[key], value)
	}
	return nil
}

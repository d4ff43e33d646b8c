package environment

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

func (b *builder) fileKey(r *corev1.FileKeySelector) (value string, has bool, err error) {
	if b.EnvFile == nil {
		return "", false, errors.New("fileKeyRef needs a volume, and none is known")
	}
	content, err := b.EnvFile(r.VolumeName, r.Path)
	if errors.Is(err, fs.ErrNotExist) && optional(r.Optional) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("reading file %q of volume %q: %w", r.Path, r.VolumeName, err)
	}
	value, has, err = envFileValue(string(content), r.Key)
	if err != nil {
		return "", false, fmt.Errorf("reading file %q of volume %q: %w", r.Path, r.VolumeName, err)
	}
	if !has && !optional(r.Optional) {
		return "", false, fmt.Errorf("couldn't find key %v in file %v of volume %v", r.Key, r.Path, r.VolumeName)
	}
	return value, has, nil
}

// envFileValue finds key in a file of assignments NAME='value', the part of the shell's syntax in which
// nothing is interpreted: a value is in single quotes and may go over lines; blank lines and lines that
// start with # are passed over.
func envFileValue(content, key string) (value string, has bool, err error) {
	for line := 1; content != ""; {
		rest, _ := cutLine(content)
		if trimmed := strings.TrimLeft(rest, " \t"); trimmed == "" || trimmed[0] == '#' {
			content, line = content[min(len(rest)+1, len(content)):], line+1
			continue
		}
		name, after, ok := strings.Cut(content, "='")
		if !ok || strings.ContainsAny(name, " \t\n") || len(validation.IsRelaxedEnvVarName(name)) > 0 {
			return "", false, fmt.Errorf("line %d is not of the form NAME='value'", line)
		}
		text, after, ok := strings.Cut(after, "'")
		if !ok {
			return "", false, fmt.Errorf("line %d: the value has no closing quote", line)
		}
		tail, next := cutLine(after)
		if tail = strings.TrimSpace(tail); tail != "" && tail[0] != '#' {
			return "", false, fmt.Errorf("line %d: text after the closing quote", line)
		}
		if name == key {
			value, has = text, true
		}
		line += 1 + strings.Count(text, "\n")
		content = next
	}
	return value, has, nil
}

func cutLine(s string) (line, rest string) {
	line, rest, _ = strings.Cut(s, "\n")
	return line, rest
}

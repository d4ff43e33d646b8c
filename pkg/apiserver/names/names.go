// Package names tells names that are as they should be without the expressions by which the library judges them. What
// is refused here is for the library, which has the words for what is wrong.
package names

import "strings"

// The greatest lengths.
const (
	longestLabel     = 63
	longestSubdomain = 253
)

// IsLabel says that a name is a label of DNS in small letters.
func IsLabel(s string) bool { return len(s) <= longestLabel && isDomain(s, false) }

// IsSubdomain says that a name is one or several labels of DNS in small letters, with dots between them.
func IsSubdomain(s string) bool { return len(s) <= longestSubdomain && isDomain(s, true) }

func isDomain(s string, dots bool) bool {
	inner := false // the last character was a letter or digit
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			inner = true
			continue
		case c == '-' && (inner || i > 0 && s[i-1] == '-'):
		case c == '.' && dots && inner:
		default:
			return false
		}
		inner = false
	}
	return inner
}

// IsKey says that a name may be a label's or annotation's: with a domain before it, or without.
func IsKey(s string) bool {
	domain, name, found := strings.Cut(s, "/")
	if !found {
		return isWord(s)
	}
	return IsSubdomain(domain) && isWord(name)
}

// IsValue says that a text may be a label's value.
func IsValue(s string) bool { return s == "" || isWord(s) }

// isWord: letters, digits and "-_." between letters or digits.
func isWord(s string) bool {
	if s == "" || len(s) > longestLabel || !isAlphanumeric(s[0]) || !isAlphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// IsPrintable says that a text is of ASCII's printable characters.
func IsPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

package h2

import (
	"net/textproto"
	"strings"
)

// known are names of fields that clients and servers of the API send, by how HTTP/2 spells them.
var known = func() map[string]string {
	names := map[string]string{}
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Audit-Id", "Authorization", "Cache-Control", "Content-Encoding",
		"Content-Length", "Content-Type", "Cookie", "Date", "Etag", "Expect", "Host", "If-None-Match", "Impersonate-User",
		"Last-Modified", "Location", "Retry-After", "Trailer", "User-Agent", "Vary", "Warning", "X-Content-Type-Options",
		"X-Forwarded-For", "X-Remote-User",
		"X-Kubernetes-Pf-Flowschema-Uid", "X-Kubernetes-Pf-Prioritylevel-Uid",
	} {
		names[strings.ToLower(name)] = name
	}
	return names
}()

// spelled are the same the other way round.
var spelled = func() map[string]string {
	names := make(map[string]string, len(known))
	for lower, name := range known {
		names[name] = lower
	}
	return names
}()

// lowered is how HTTP/2 spells a name.
func lowered(name string) string {
	if lower, ok := spelled[name]; ok {
		return lower
	}
	return strings.ToLower(name)
}

// canonical is the form of a field's name that net/http uses.
func canonical(name string) string {
	if known, ok := known[name]; ok {
		return known
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}

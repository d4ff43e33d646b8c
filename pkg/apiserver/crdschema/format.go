package crdschema

import (
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
)

// stringFormats are the formats of strings that are checked; others are passed over.
var stringFormats = []string{
	"bsonobjectid", "uri", "email", "hostname", "ipv4", "ipv6", "cidr", "mac", "uuid", "uuid3", "uuid4", "uuid5", "isbn",
	"isbn10", "isbn13", "creditcard", "ssn", "hexcolor", "rgbcolor", "byte", "password", "date", "duration", "datetime",
	"k8sshortname", "k8slongname",
}

// knownFormat says whether values of a type ("" for any) are checked for a format.
func knownFormat(valueType, format string) bool {
	switch valueType {
	case "", "string":
		return slices.Contains(stringFormats, strings.ReplaceAll(format, "-", ""))
	case "integer":
		return format == "int32" || format == "int64"
	case "number":
		return format == "float" || format == "double"
	}
	return false
}

// UnknownFormats lists the formats in a schema that nobody checks.
func UnknownFormats(s *apiextensions.JSONSchemaProps) (out []string) {
	Walk(s, func(s *apiextensions.JSONSchemaProps) bool {
		if s.Format != "" && !knownFormat(s.Type, s.Format) {
			out = append(out, s.Format)
		}
		return false
	})
	return out
}

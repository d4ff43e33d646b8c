package core

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// secretRedacted stands in messages where the value would be.
const secretRedacted = "<secret contents redacted>"

// Secret declares secrets.
func Secret() *resource.Resource {
	return resource.Define(resource.Definition[*corev1.Secret]{
		Kind:        corev1.SchemeGroupVersion.WithKind("Secret"),
		Plural:      "secrets",
		WholeUpdate: true,
		Default:     defaultSecret,
		Prepare: func(_ context.Context, obj, old *corev1.Secret) {
			// A type left out of an update is the stored one.
			if old != nil && obj.Type == "" {
				obj.Type = old.Type
			}
		},
		Validate: func(_ context.Context, obj, old *corev1.Secret) field.ErrorList {
			if old == nil {
				return validateSecret(obj)
			}
			return validateSecretUpdate(obj, old)
		},
		Warn:     func(_ context.Context, obj, _ *corev1.Secret) []string { return warnSecret(obj) },
		Complete: func(obj *corev1.Secret) { dropEmpty(&obj.Data) },
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Type", corev1.Secret{}.SwaggerDoc()["type"]),
			column.Text("Data", corev1.Secret{}.SwaggerDoc()["data"]),
			column.Age(),
		},
		Row: func(obj *corev1.Secret) []any {
			return []any{obj.Name, string(obj.Type), int64(len(obj.Data)), column.Since(obj.CreationTimestamp)}
		},
		FieldNames: []string{"type"},
		Fields:     func(obj *corev1.Secret) map[string]string { return map[string]string{"type": string(obj.Type)} },
	})
}

// defaultSecret also folds the write-only stringData into data, where it wins.
func defaultSecret(obj *corev1.Secret) {
	if len(obj.StringData) > 0 {
		if obj.Data == nil {
			obj.Data = make(map[string][]byte, len(obj.StringData))
		}
		for key, value := range obj.StringData {
			obj.Data[key] = []byte(value)
		}
	}
	obj.StringData = nil
	obj.Type = cmp.Or(obj.Type, corev1.SecretTypeOpaque)
}

func validateSecret(obj *corev1.Secret) field.ErrorList {
	var faults field.ErrorList
	data := field.NewPath("data")
	size := 0
	for key, value := range obj.Data {
		faults = append(faults, validateConfigKey(data.Key(key), key)...)
		size += len(value)
	}
	if size > corev1.MaxSecretSize {
		faults = append(faults, field.TooLong(data, "", corev1.MaxSecretSize))
	}
	return append(faults, validateSecretType(obj, data)...)
}

func validateSecretType(obj *corev1.Secret, data *field.Path) field.ErrorList {
	require := func(keys ...string) (faults field.ErrorList) {
		for _, key := range keys {
			if _, there := obj.Data[key]; !there {
				faults = append(faults, field.Required(data.Key(key), ""))
			}
		}
		return faults
	}
	switch obj.Type {
	case corev1.SecretTypeServiceAccountToken:
		path := field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey)
		if obj.Annotations[corev1.ServiceAccountNameKey] == "" {
			return field.ErrorList{field.Required(path, "")}
		}
	case corev1.SecretTypeDockercfg:
		return validateSecretJSON(obj, data, corev1.DockerConfigKey)
	case corev1.SecretTypeDockerConfigJson:
		return validateSecretJSON(obj, data, corev1.DockerConfigJsonKey)
	case corev1.SecretTypeBasicAuth:
		_, user := obj.Data[corev1.BasicAuthUsernameKey]
		_, password := obj.Data[corev1.BasicAuthPasswordKey]
		if !user && !password { // either is enough
			return require(corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey)
		}
	case corev1.SecretTypeSSHAuth:
		if len(obj.Data[corev1.SSHAuthPrivateKey]) == 0 {
			return field.ErrorList{field.Required(data.Key(corev1.SSHAuthPrivateKey), "")}
		}
	case corev1.SecretTypeTLS:
		return require(corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	}
	return nil
}

func validateSecretJSON(obj *corev1.Secret, data *field.Path, key string) field.ErrorList {
	value, there := obj.Data[key]
	if !there {
		return field.ErrorList{field.Required(data.Key(key), "")}
	}
	if err := json.Unmarshal(value, &map[string]any{}); err != nil {
		return field.ErrorList{field.Invalid(data.Key(key), secretRedacted, err.Error())}
	}
	return nil
}

func validateSecretUpdate(obj, old *corev1.Secret) field.ErrorList {
	faults := immutable(obj.Type, old.Type, field.NewPath("type"))
	if isTrue(old.Immutable) {
		if !isTrue(obj.Immutable) {
			faults = append(faults, field.Forbidden(field.NewPath("immutable"), immutableWhenSet))
		}
		if !sameAsStored(obj.Data, old.Data) {
			faults = append(faults, field.Forbidden(field.NewPath("data"), immutableWhenSet))
		}
	}
	return append(faults, validateSecret(obj)...)
}

func warnSecret(obj *corev1.Secret) []string {
	if obj.Type != corev1.SecretTypeTLS {
		return nil
	}
	if _, err := tls.X509KeyPair(obj.Data[corev1.TLSCertKey], obj.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return []string{fmt.Sprintf("%v", err)}
	}
	return nil
}

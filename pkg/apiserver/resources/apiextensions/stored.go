package apiextensions

import (
	"encoding/json"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// encode writes a definition as kube-apiserver does: as JSON of v1beta1, in which what all versions have in common
// stands once.
func encode(obj *apiextensionsv1.CustomResourceDefinition) ([]byte, error) {
	common, err := internal(obj)
	if err != nil {
		return nil, err
	}
	old := &apiextensionsv1beta1.CustomResourceDefinition{}
	if err := apiextensionsv1beta1.Convert_apiextensions_CustomResourceDefinition_To_v1beta1_CustomResourceDefinition(common, old, nil); err != nil {
		return nil, fmt.Errorf("giving the definition the version in which it is stored: %w", err)
	}
	old.TypeMeta = metav1.TypeMeta{Kind: "CustomResourceDefinition", APIVersion: apiextensionsv1beta1.SchemeGroupVersion.String()}
	value, err := json.Marshal(old)
	return append(value, '\n'), err
}

// decode reads a definition of either version.
func decode(value []byte) (*apiextensionsv1.CustomResourceDefinition, error) {
	var head metav1.TypeMeta
	if err := json.Unmarshal(value, &head); err != nil {
		return nil, err
	}
	obj := &apiextensionsv1.CustomResourceDefinition{}
	switch head.APIVersion {
	case apiextensionsv1.SchemeGroupVersion.String():
		if err := json.Unmarshal(value, obj); err != nil {
			return nil, err
		}
	case apiextensionsv1beta1.SchemeGroupVersion.String():
		old, common := &apiextensionsv1beta1.CustomResourceDefinition{}, &apiextensions.CustomResourceDefinition{}
		if err := json.Unmarshal(value, old); err != nil {
			return nil, err
		}
		apiextensionsv1beta1.SetDefaults_CustomResourceDefinitionSpec(&old.Spec)
		if err := apiextensionsv1beta1.Convert_v1beta1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(old, common, nil); err != nil {
			return nil, err
		}
		if err := apiextensionsv1.Convert_apiextensions_CustomResourceDefinition_To_v1_CustomResourceDefinition(common, obj, nil); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("a definition of the version %q", head.APIVersion)
	}
	obj.TypeMeta = metav1.TypeMeta{Kind: "CustomResourceDefinition", APIVersion: apiextensionsv1.SchemeGroupVersion.String()}
	setDefaults(obj)
	return obj, nil
}

// internal gives a definition the form in which all versions' common parts stand once. Kube-apiserver judges and
// stores that form, so it decides where faults are found.
func internal(obj *apiextensionsv1.CustomResourceDefinition) (*apiextensions.CustomResourceDefinition, error) {
	out := &apiextensions.CustomResourceDefinition{}
	// The conversion shares memory with what it converts.
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(obj.DeepCopy(), out, nil); err != nil {
		return nil, fmt.Errorf("reading the definition: %w", err)
	}
	return out, nil
}

// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// KeyReference names a key of a Secret or ConfigMap in the bridge's namespace.
type KeyReference struct {
	// name is the name of the Secret or ConfigMap.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",reason=FieldValueInvalid,message="name must be the name of a Kubernetes object: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	Name string `json:"name,omitempty"`

	// key is the key that holds the value, from 1 to 253 characters. Default: username,
	// password, ca.crt, tls.crt or tls.key, as the field that contains the reference says.
	// References in webSocket have no default and require a key.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')",reason=FieldValueInvalid,message="key must be a key of a Secret or ConfigMap: letters, digits, '-', '_' and '.'; it must not be '.' or start with '..'"
	Key string `json:"key,omitempty"`
}

// SecretSource names the key of a Secret that holds a value.
type SecretSource struct {
	// secretKeyRef names the key of a Secret.
	// +required
	SecretKeyRef KeyReference `json:"secretKeyRef,omitzero"`
}

// UsernameSource is a user name, or names the key of a Secret that holds it.
//
// +kubebuilder:validation:XValidation:rule="has(self.value) != has(self.secretKeyRef)",reason=FieldValueInvalid,message="a user name needs either value or secretKeyRef; set exactly one of them"
type UsernameSource struct {
	// value is the user name, from 1 to 1024 characters. Every user who can read the bridge
	// can read it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:cntrl:]]')",reason=FieldValueInvalid,message="a user name must not contain control characters, such as line ends; remove them"
	Value string `json:"value,omitempty"`

	// secretKeyRef names the key of a Secret. Its key has the default username.
	// +optional
	SecretKeyRef *KeyReference `json:"secretKeyRef,omitempty"`
}

// CertificateSource names the key of a Secret or ConfigMap that holds a certificate.
//
// +kubebuilder:validation:XValidation:rule="has(self.secretKeyRef) != has(self.configMapKeyRef)",reason=FieldValueInvalid,message="a certificate needs either secretKeyRef or configMapKeyRef; set exactly one of them"
type CertificateSource struct {
	// secretKeyRef names the key of a Secret. Its key has the default tls.crt.
	// +optional
	SecretKeyRef *KeyReference `json:"secretKeyRef,omitempty"`

	// configMapKeyRef names the key of a ConfigMap. Its key has the default tls.crt.
	// +optional
	ConfigMapKeyRef *KeyReference `json:"configMapKeyRef,omitempty"`
}

// CASource names the object that holds the certificates of authorities.
//
// +kubebuilder:validation:XValidation:rule="[has(self.configMapKeyRef), has(self.secretKeyRef), has(self.clusterTrustBundle)].filter(set, set).size() == 1",reason=FieldValueInvalid,message="ca needs either configMapKeyRef, secretKeyRef or clusterTrustBundle; set exactly one of them"
type CASource struct {
	// configMapKeyRef names the key of a ConfigMap. Its key has the default ca.crt.
	// +optional
	ConfigMapKeyRef *KeyReference `json:"configMapKeyRef,omitempty"`

	// secretKeyRef names the key of a Secret. Its key has the default ca.crt.
	// +optional
	SecretKeyRef *KeyReference `json:"secretKeyRef,omitempty"`

	// clusterTrustBundle names one ClusterTrustBundle of the cluster, or selects the
	// ClusterTrustBundles of a signer. It requires a cluster in which the feature gate
	// ClusterTrustBundleProjection is on, as it is by default from Kubernetes 1.37.
	// +optional
	ClusterTrustBundle *ClusterTrustBundleSource `json:"clusterTrustBundle,omitempty"`
}

// ClusterTrustBundleSource names one ClusterTrustBundle, or selects the ClusterTrustBundles of
// a signer.
//
// +kubebuilder:validation:XValidation:rule="has(self.name) != has(self.signerName)",reason=FieldValueInvalid,message="a clusterTrustBundle needs either name or signerName; set exactly one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.labelSelector) || has(self.signerName)",fieldPath=".labelSelector",reason=FieldValueInvalid,message="labelSelector selects among the ClusterTrustBundles of a signer; set signerName instead of name, or remove labelSelector"
type ClusterTrustBundleSource struct {
	// name is the name of a ClusterTrustBundle.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.:]*[a-z0-9])?$')",reason=FieldValueInvalid,message="name must be the name of a ClusterTrustBundle: lower case letters, digits, '-', '.' and ':', and a letter or digit at both ends"
	Name string `json:"name,omitempty"`

	// signerName is the name of a signer. The certificates of all its ClusterTrustBundles
	// that match labelSelector are trusted.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",reason=FieldValueInvalid,message="signerName must be a domain, a slash and a name, as in example.com/plant-ca"
	SignerName string `json:"signerName,omitempty"`

	// labelSelector selects ClusterTrustBundles of the signer by their labels. Default: all
	// of them.
	// +optional
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
}

// The default keys of references.
const (
	DefaultUsernameKey    = "username"
	DefaultPasswordKey    = "password"
	DefaultCAKey          = "ca.crt"
	DefaultCertificateKey = "tls.crt"
	DefaultPrivateKeyKey  = "tls.key"
)

func (c *Credentials) setDefaults() {
	if c == nil {
		return
	}
	if c.Username != nil {
		c.Username.SecretKeyRef.setDefaultKey(DefaultUsernameKey)
	}
	if c.Password != nil {
		c.Password.SecretKeyRef.setDefaultKey(DefaultPasswordKey)
	}
}

func (t *TLS) setDefaults() {
	if t == nil {
		return
	}
	if t.CA != nil {
		t.CA.ConfigMapKeyRef.setDefaultKey(DefaultCAKey)
		t.CA.SecretKeyRef.setDefaultKey(DefaultCAKey)
	}
	if t.Certificate != nil {
		t.Certificate.SecretKeyRef.setDefaultKey(DefaultCertificateKey)
		t.Certificate.ConfigMapKeyRef.setDefaultKey(DefaultCertificateKey)
	}
	if t.Key != nil {
		t.Key.SecretKeyRef.setDefaultKey(DefaultPrivateKeyKey)
	}
}

func (p *Proxy) setDefaults() {
	if p != nil {
		p.Credentials.setDefaults()
	}
}

func (r *KeyReference) setDefaultKey(key string) {
	if r != nil && r.Key == "" {
		r.Key = key
	}
}

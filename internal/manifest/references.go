// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Kind is the kind of an object that a manifest names.
type Kind string

// The kinds of objects that a manifest can name.
const (
	KindSecret             Kind = "Secret"
	KindConfigMap          Kind = "ConfigMap"
	KindClusterTrustBundle Kind = "ClusterTrustBundle"
)

// Reference is a key of a Secret or ConfigMap, or one or several ClusterTrustBundles, that a
// manifest names. The zero value means none.
type Reference struct {
	Kind Kind
	// Name is the name of the object, or of the signer if Bundle has a signer.
	Name string
	// Key is the key of the object. For a ClusterTrustBundle, it is the name of the file.
	Key string
	// Field is the field of the manifest that names the key.
	Field string
	// Bundle is set if Kind is KindClusterTrustBundle.
	Bundle *v1alpha1.ClusterTrustBundleSource
}

// IsZero reports whether r names nothing.
func (r Reference) IsZero() bool { return r.Kind == "" }

// Directories in the directory of Secrets. No Secret has such a name, because the names of
// Secrets have no upper case letters.
const (
	configMapDir          = "configMaps/"
	clusterTrustBundleDir = "clusterTrustBundles/"
)

// Path returns the name of the file from which the runner reads the value, in the directory
// of Secrets. References to different values have different paths.
func (r Reference) Path() string {
	switch r.Kind {
	case KindSecret:
		return r.Name + "/" + r.Key
	case KindConfigMap:
		return configMapDir + r.Name + "/" + r.Key
	case KindClusterTrustBundle:
		return clusterTrustBundleDir + strings.ReplaceAll(r.Name, "/", ":") + "/" + r.Key
	}
	return "" // not reached: there are no other kinds
}

// Object describes the object that r names, for messages.
func (r Reference) Object() string {
	if r.Bundle == nil || r.Bundle.SignerName == "" {
		return fmt.Sprintf("%s %q", r.Kind, r.Name)
	}
	text := fmt.Sprintf("%s of the signer %q", r.Kind, r.Name)
	if r.Bundle.LabelSelector != nil {
		text += fmt.Sprintf(" with the labels %q", metav1.FormatLabelSelector(r.Bundle.LabelSelector))
	}
	return text
}

// References returns every key that the spec names, once, sorted by kind, name and key. The
// defaults of the spec must be resolved.
func References(s *v1alpha1.MQTTBridgeSpec) []Reference {
	refs := sideReferences(&s.Local, field.NewPath("spec", "local"))
	refs = append(refs, sideReferences(&s.Remote, field.NewPath("spec", "remote"))...)
	refs = slices.DeleteFunc(refs, Reference.IsZero)
	slices.SortStableFunc(refs, func(a, b Reference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key))
	})
	return slices.CompactFunc(refs, func(a, b Reference) bool { return a.Path() == b.Path() })
}

func sideReferences(s *v1alpha1.Side, path *field.Path) []Reference {
	refs := settingReferences(s.Credentials, s.TLS, s.Proxy, s.WebSocket, path)
	for i, server := range s.Servers() {
		refs = append(refs, settingReferences(server.Credentials, server.TLS, server.Proxy, server.WebSocket, ServerPath(path, i))...)
	}
	return refs
}

// ServerPath returns the path of the server at a position in the list of its side, counted
// from 0. path is the path of the side.
func ServerPath(path *field.Path, position int) *field.Path {
	if position == 0 {
		return path.Child("primary")
	}
	return path.Child("backups").Index(position - 1)
}

func settingReferences(c *v1alpha1.Credentials, t *v1alpha1.TLS, p *v1alpha1.Proxy, w *v1alpha1.WebSocket, path *field.Path) []Reference {
	refs := credentialReferences(c, path.Child("credentials"))
	if t != nil {
		tls := path.Child("tls")
		refs = append(refs, CAReference(t.CA, tls.Child("ca")),
			CertificateReference(t.Certificate, tls.Child("certificate")), SecretReference(t.Key, tls.Child("key")))
	}
	if p != nil {
		refs = append(refs, credentialReferences(p.Credentials, path.Child("proxy", "credentials"))...)
	}
	if w != nil {
		webSocket := path.Child("webSocket")
		for i := range w.Headers {
			refs = append(refs, SecretReference(w.Headers[i].ValueFrom, webSocket.Child("headers").Index(i).Child("valueFrom")))
		}
		refs = append(refs, SecretReference(w.QueryFrom, webSocket.Child("queryFrom")))
	}
	return refs
}

func credentialReferences(c *v1alpha1.Credentials, path *field.Path) []Reference {
	if c == nil {
		return nil
	}
	return []Reference{UsernameReference(c.Username, path.Child("username")), SecretReference(c.Password, path.Child("password"))}
}

// UsernameReference returns the reference in the user name at path. It is zero if there is
// none.
func UsernameReference(u *v1alpha1.UsernameSource, path *field.Path) Reference {
	if u == nil {
		return Reference{}
	}
	return keyReference(KindSecret, u.SecretKeyRef, path)
}

// SecretReference returns the reference in the source at path. It is zero if there is none.
func SecretReference(s *v1alpha1.SecretSource, path *field.Path) Reference {
	if s == nil {
		return Reference{}
	}
	return keyReference(KindSecret, &s.SecretKeyRef, path)
}

// CertificateReference returns the reference in the source at path. It is zero if there is
// none.
func CertificateReference(c *v1alpha1.CertificateSource, path *field.Path) Reference {
	switch {
	case c == nil:
		return Reference{}
	case c.ConfigMapKeyRef != nil:
		return keyReference(KindConfigMap, c.ConfigMapKeyRef, path)
	}
	return keyReference(KindSecret, c.SecretKeyRef, path)
}

// CAReference returns the reference in the source at path. It is zero if there is none.
func CAReference(c *v1alpha1.CASource, path *field.Path) Reference {
	switch {
	case c == nil:
		return Reference{}
	case c.ClusterTrustBundle != nil:
		return bundleReference(c.ClusterTrustBundle, path.Child("clusterTrustBundle"))
	case c.ConfigMapKeyRef != nil:
		return keyReference(KindConfigMap, c.ConfigMapKeyRef, path)
	}
	return keyReference(KindSecret, c.SecretKeyRef, path)
}

func keyReference(kind Kind, k *v1alpha1.KeyReference, path *field.Path) Reference {
	if k == nil {
		return Reference{}
	}
	child := "secretKeyRef"
	if kind == KindConfigMap {
		child = "configMapKeyRef"
	}
	return Reference{Kind: kind, Name: k.Name, Key: k.Key, Field: path.Child(child).String()}
}

// bundleReference returns a reference to ClusterTrustBundles. If they are selected by labels,
// a hash of the selector in the name of the file keeps the files of a signer apart.
func bundleReference(b *v1alpha1.ClusterTrustBundleSource, path *field.Path) Reference {
	key := v1alpha1.DefaultCAKey
	if b.LabelSelector != nil {
		sum := sha256.Sum256([]byte(metav1.FormatLabelSelector(b.LabelSelector)))
		key = "ca-" + hex.EncodeToString(sum[:4]) + ".crt"
	}
	return Reference{Kind: KindClusterTrustBundle, Name: cmp.Or(b.Name, b.SignerName), Key: key, Field: path.String(), Bundle: b}
}

// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Limits of user names, as in the schema: in characters, and in bytes for SOCKS5.
const (
	maxUsername      = 1024
	maxSOCKSUsername = 255
)

var (
	dataKey    = regexp.MustCompile(`^[-._a-zA-Z0-9]+$`)
	bundleName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.:]*[a-z0-9])?$`)
	signerName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)
)

func validateCredentials(c *v1alpha1.Credentials, path *field.Path) field.ErrorList {
	switch {
	case c == nil:
		return nil
	case c.Username == nil && c.Password == nil:
		return field.ErrorList{field.Required(path.Child("username"), "credentials need a user name, a password or both; set username or password, or remove credentials")}
	}
	return append(validateUsername(c.Username, path.Child("username")), validateSecret(c.Password, path.Child("password"))...)
}

func validateUsername(u *v1alpha1.UsernameSource, path *field.Path) field.ErrorList {
	if u == nil {
		return nil
	}
	value := path.Child("value")
	switch {
	case (u.Value != "") == (u.SecretKeyRef != nil):
		return field.ErrorList{field.Invalid(path, u.Value, "a user name needs either value or secretKeyRef; set exactly one of them")}
	case longer(u.Value, maxUsername):
		return field.ErrorList{field.TooLong(value, u.Value, maxUsername)}
	case hasControls(u.Value):
		return field.ErrorList{field.Invalid(value, u.Value, "a user name must not contain control characters, such as line ends; remove them")}
	}
	return validateKey(u.SecretKeyRef, path.Child("secretKeyRef"))
}

// validateLogins refuses passwords without a user name on a side with MQTT 3.1.1
// ([MQTT-3.1.2-22]).
func validateLogins(s *v1alpha1.Side, path *field.Path) field.ErrorList {
	if s.ProtocolVersion != nil && *s.ProtocolVersion == v1alpha1.ProtocolVersion5 {
		return nil
	}
	var errs field.ErrorList
	check := func(c *v1alpha1.Credentials, path *field.Path) {
		if c != nil && c.Username == nil {
			errs = append(errs, field.Required(path, "MQTT 3.1.1 does not permit a password without a user name; set username in these credentials, or set protocolVersion: '5' on this side"))
		}
	}
	check(s.Credentials, path.Child("credentials", "username"))
	check(s.Primary.Credentials, path.Child("primary", "credentials", "username"))
	for i := range s.Backups {
		check(s.Backups[i].Credentials, path.Child("backups"))
	}
	return errs
}

// validateProxyLogin refuses user names that the protocol of the proxy cannot carry (RFC 1929
// section 2, RFC 7617 section 2).
func validateProxyLogin(p *v1alpha1.Proxy, path *field.Path) field.ErrorList {
	if p.Credentials == nil {
		return nil
	}
	username := path.Child("credentials", "username")
	u := p.Credentials.Username
	switch socks := strings.HasPrefix(p.URL, "socks5://"); {
	case socks && u == nil:
		return field.ErrorList{field.Required(username, "SOCKS5 does not permit a login without a user name; set credentials.username, or remove credentials")}
	case socks && len(u.Value) > maxSOCKSUsername:
		return field.ErrorList{field.Invalid(username.Child("value"), u.Value, "the user name for a SOCKS5 proxy must have at most 255 bytes; shorten it")}
	case !socks && u != nil && strings.Contains(u.Value, ":"):
		return field.ErrorList{field.Invalid(username.Child("value"), u.Value, "the user name for an HTTP proxy must not contain a colon; use another user name")}
	}
	return nil
}

func validateCertificate(c *v1alpha1.CertificateSource, path *field.Path) field.ErrorList {
	switch {
	case c == nil:
		return nil
	case (c.SecretKeyRef != nil) == (c.ConfigMapKeyRef != nil):
		return field.ErrorList{field.Invalid(path, "certificate", "a certificate needs either secretKeyRef or configMapKeyRef; set exactly one of them")}
	}
	return append(validateKey(c.SecretKeyRef, path.Child("secretKeyRef")), validateKey(c.ConfigMapKeyRef, path.Child("configMapKeyRef"))...)
}

func validateCA(c *v1alpha1.CASource, path *field.Path) field.ErrorList {
	if c == nil {
		return nil
	}
	sources := 0
	for _, set := range []bool{c.ConfigMapKeyRef != nil, c.SecretKeyRef != nil, c.ClusterTrustBundle != nil} {
		if set {
			sources++
		}
	}
	if sources != 1 {
		return field.ErrorList{field.Invalid(path, "ca", "ca needs either configMapKeyRef, secretKeyRef or clusterTrustBundle; set exactly one of them")}
	}
	errs := validateKey(c.ConfigMapKeyRef, path.Child("configMapKeyRef"))
	errs = append(errs, validateKey(c.SecretKeyRef, path.Child("secretKeyRef"))...)
	return append(errs, validateBundle(c.ClusterTrustBundle, path.Child("clusterTrustBundle"))...)
}

// validateBundle also refuses label selectors that only the API server's validation of pods
// would refuse.
func validateBundle(b *v1alpha1.ClusterTrustBundleSource, path *field.Path) field.ErrorList {
	if b == nil {
		return nil
	}
	var errs field.ErrorList
	switch {
	case (b.Name != "") == (b.SignerName != ""):
		errs = append(errs, field.Invalid(path, b.Name, "a clusterTrustBundle needs either name or signerName; set exactly one of them"))
	case b.Name != "" && (len(b.Name) > maxReference || !bundleName.MatchString(b.Name)):
		errs = append(errs, field.Invalid(path.Child("name"), b.Name, "name must be the name of a ClusterTrustBundle: lower case letters, digits, '-', '.' and ':', and a letter or digit at both ends"))
	case b.SignerName != "" && (len(b.SignerName) > maxReference || !signerName.MatchString(b.SignerName)):
		errs = append(errs, field.Invalid(path.Child("signerName"), b.SignerName, "signerName must be a domain, a slash and a name, as in example.com/plant-ca"))
	}
	selector := path.Child("labelSelector")
	if b.LabelSelector != nil && b.SignerName == "" {
		errs = append(errs, field.Invalid(selector, b.Name, "labelSelector selects among the ClusterTrustBundles of a signer; set signerName instead of name, or remove labelSelector"))
	}
	return append(errs, validation.ValidateLabelSelector(b.LabelSelector, validation.LabelSelectorValidationOptions{}, selector)...)
}

// validateRequiredKey checks a reference whose key has no default.
func validateRequiredKey(s *v1alpha1.SecretSource, path *field.Path) field.ErrorList {
	errs := validateSecret(s, path)
	if s != nil && s.SecretKeyRef.Key == "" {
		errs = append(errs, field.Required(path.Child("secretKeyRef", "key"), "the reference needs the key of the Secret that holds the value; set key"))
	}
	return errs
}

func validateSecret(s *v1alpha1.SecretSource, path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	return validateKey(&s.SecretKeyRef, path.Child("secretKeyRef"))
}

// validateKey checks the name and the key of a reference. It also prevents them from pointing
// outside the directory of Secrets: they contain no slash, and objectName does not start with
// a dot.
func validateKey(k *v1alpha1.KeyReference, path *field.Path) field.ErrorList {
	if k == nil {
		return nil
	}
	var errs field.ErrorList
	switch {
	case k.Name == "":
		errs = append(errs, field.Required(path.Child("name"), "the reference needs the name of a Secret or ConfigMap; set name"))
	case len(k.Name) > maxReference || !objectName.MatchString(k.Name):
		errs = append(errs, field.Invalid(path.Child("name"), oneLine(k.Name), "name must be the name of a Kubernetes object: lower case letters, digits, '-' and '.', and a letter or digit at both ends"))
	}
	if k.Key != "" && (len(k.Key) > maxReference || !dataKey.MatchString(k.Key) || k.Key == "." || strings.HasPrefix(k.Key, "..")) {
		errs = append(errs, field.Invalid(path.Child("key"), oneLine(k.Key), "key must be a key of a Secret or ConfigMap: letters, digits, '-', '_' and '.'; it must not be '.' or start with '..'"))
	}
	return errs
}

// oneLine masks a text of several lines: it is no name, and may be the content of a Secret.
func oneLine(text string) string {
	if strings.Contains(text, "\n") {
		return v1alpha1.MaskedSecret
	}
	return text
}

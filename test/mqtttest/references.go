// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import "github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"

// Login returns credentials whose user name and password are in a Secret, under the default keys.
func Login(secret string) *v1alpha1.Credentials {
	return &v1alpha1.Credentials{
		Username: &v1alpha1.UsernameSource{SecretKeyRef: &v1alpha1.KeyReference{Name: secret}},
		Password: &v1alpha1.SecretSource{SecretKeyRef: v1alpha1.KeyReference{Name: secret}},
	}
}

// TrustSecret returns TLS settings with the authorities in a Secret, under the default key.
func TrustSecret(name string) *v1alpha1.TLS {
	return &v1alpha1.TLS{CA: &v1alpha1.CASource{SecretKeyRef: &v1alpha1.KeyReference{Name: name}}}
}

// TrustConfigMap returns TLS settings with the authorities in a ConfigMap, under the default key.
// [ConfigMap] is the object for [Runner.SetFile].
func TrustConfigMap(name string) *v1alpha1.TLS {
	return &v1alpha1.TLS{CA: &v1alpha1.CASource{ConfigMapKeyRef: &v1alpha1.KeyReference{Name: name}}}
}

// ShowCertificate adds to TLS settings a client certificate and its key from a Secret, under the
// default keys.
func ShowCertificate(t *v1alpha1.TLS, secret string) *v1alpha1.TLS {
	t.Certificate = &v1alpha1.CertificateSource{SecretKeyRef: &v1alpha1.KeyReference{Name: secret}}
	t.Key = &v1alpha1.SecretSource{SecretKeyRef: v1alpha1.KeyReference{Name: secret}}
	return t
}

// ConfigMap returns the directory of a ConfigMap in the directory of Secrets.
func ConfigMap(name string) string { return "configMaps/" + name }

// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func TestReferences_SettingsThatNameObjects_ReturnsTheirKeys(t *testing.T) {
	login := func(name string) *v1alpha1.Credentials {
		return &v1alpha1.Credentials{
			Username: &v1alpha1.UsernameSource{SecretKeyRef: &v1alpha1.KeyReference{Name: name}},
			Password: &v1alpha1.SecretSource{SecretKeyRef: v1alpha1.KeyReference{Name: name}},
		}
	}
	from := func(name, key string) *v1alpha1.SecretSource {
		return &v1alpha1.SecretSource{SecretKeyRef: v1alpha1.KeyReference{Name: name, Key: key}}
	}
	inConfigMap := func(name, key string) *v1alpha1.CASource {
		return &v1alpha1.CASource{ConfigMapKeyRef: &v1alpha1.KeyReference{Name: name, Key: key}}
	}
	bundle := func(b v1alpha1.ClusterTrustBundleSource) *v1alpha1.TLS {
		return &v1alpha1.TLS{CA: &v1alpha1.CASource{ClusterTrustBundle: &b}}
	}
	labels := func(value string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"plant": value}}
	}
	for name, c := range map[string]struct {
		change func(s *v1alpha1.MQTTBridgeSpec)
		want   []string // kind and path
	}{
		"none":                   {func(*v1alpha1.MQTTBridgeSpec) {}, nil},
		"credentials of a side":  {func(s *v1alpha1.MQTTBridgeSpec) { s.Local.Credentials = login("l") }, []string{"Secret l/password", "Secret l/username"}},
		"credentials of a proxy": {func(s *v1alpha1.MQTTBridgeSpec) { s.Remote.Proxy = &v1alpha1.Proxy{Credentials: login("p")} }, []string{"Secret p/password", "Secret p/username"}},
		"a proxy without login":  {func(s *v1alpha1.MQTTBridgeSpec) { s.Remote.Proxy = &v1alpha1.Proxy{} }, nil},
		"TLS of a backup": {func(s *v1alpha1.MQTTBridgeSpec) {
			s.Remote.Backups = []v1alpha1.Server{{TLS: &v1alpha1.TLS{
				CA:          inConfigMap("ca", ""),
				Certificate: &v1alpha1.CertificateSource{SecretKeyRef: &v1alpha1.KeyReference{Name: "client"}},
				Key:         from("client", ""),
			}}}
		}, []string{"ConfigMap configMaps/ca/ca.crt", "Secret client/tls.crt", "Secret client/tls.key"}},
		"keys that are set": {func(s *v1alpha1.MQTTBridgeSpec) {
			s.Local.Credentials = &v1alpha1.Credentials{Username: &v1alpha1.UsernameSource{Value: "plant1"}, Password: from("l", "word")}
			s.Local.TLS = &v1alpha1.TLS{
				CA:          inConfigMap("ca", "root.pem"),
				Certificate: &v1alpha1.CertificateSource{ConfigMapKeyRef: &v1alpha1.KeyReference{Name: "client", Key: "chain.pem"}},
				Key:         from("client", "private.pem"),
			}
		}, []string{"ConfigMap configMaps/ca/root.pem", "ConfigMap configMaps/client/chain.pem", "Secret client/private.pem", "Secret l/word"}},
		"a Secret and a ConfigMap of the same name": {func(s *v1alpha1.MQTTBridgeSpec) {
			s.Local.TLS = &v1alpha1.TLS{CA: inConfigMap("ca", "")}
			s.Remote.TLS = &v1alpha1.TLS{CA: &v1alpha1.CASource{SecretKeyRef: &v1alpha1.KeyReference{Name: "ca"}}}
		}, []string{"ConfigMap configMaps/ca/ca.crt", "Secret ca/ca.crt"}},
		"ClusterTrustBundles": {func(s *v1alpha1.MQTTBridgeSpec) {
			s.Local.TLS = bundle(v1alpha1.ClusterTrustBundleSource{Name: "example.com:ca:one"})
			s.Remote.TLS = bundle(v1alpha1.ClusterTrustBundleSource{SignerName: "example.com/ca"})
			s.Local.Primary.TLS = bundle(v1alpha1.ClusterTrustBundleSource{SignerName: "example.com/ca", LabelSelector: labels("one")})
			s.Local.Backups = []v1alpha1.Server{
				{TLS: bundle(v1alpha1.ClusterTrustBundleSource{SignerName: "example.com/ca", LabelSelector: labels("two")})},
				{TLS: bundle(v1alpha1.ClusterTrustBundleSource{SignerName: "example.com/ca", LabelSelector: labels("one")})},
			}
		}, []string{
			"ClusterTrustBundle clusterTrustBundles/example.com:ca/ca-024274fb.crt",
			"ClusterTrustBundle clusterTrustBundles/example.com:ca/ca-4fafee2f.crt",
			"ClusterTrustBundle clusterTrustBundles/example.com:ca/ca.crt",
			"ClusterTrustBundle clusterTrustBundles/example.com:ca:one/ca.crt",
		}},
		"webSocket": {func(s *v1alpha1.MQTTBridgeSpec) {
			s.Local.Primary.WebSocket = &v1alpha1.WebSocket{
				Headers:   []v1alpha1.Header{{Name: "a", Value: "1"}, {Name: "b", ValueFrom: from("gateway", "token")}},
				QueryFrom: from("gateway", "query"),
			}
		}, []string{"Secret gateway/query", "Secret gateway/token"}},
		"the same Secret twice": {func(s *v1alpha1.MQTTBridgeSpec) {
			s.Local.Credentials, s.Remote.Primary.Credentials = login("l"), login("l")
		}, []string{"Secret l/password", "Secret l/username"}},
	} {
		b := &v1alpha1.MQTTBridge{}
		c.change(&b.Spec)
		var got []string
		for _, ref := range References(&b.WithDefaults().Spec) {
			got = append(got, string(ref.Kind)+" "+ref.Path())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func TestReferences_SettingsThatNameObjects_ReturnsTheirKeys(t *testing.T) {
	login := func(name string) *v1alpha1.Credentials {
		return &v1alpha1.Credentials{SecretRef: v1alpha1.LocalReference{Name: name}}
	}
	from := func(name, key string) *v1alpha1.ValueSource {
		return &v1alpha1.ValueSource{SecretKeyRef: v1alpha1.SecretKeyReference{Name: name, Key: key}}
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
				CARef:         &v1alpha1.CAReference{Kind: v1alpha1.CAKindConfigMap, Name: "ca"},
				CertSecretRef: &v1alpha1.LocalReference{Name: "client"},
			}}}
		}, []string{"ConfigMap ca/ca.crt", "Secret client/tls.crt", "Secret client/tls.key"}},
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
		s := &v1alpha1.MQTTBridgeSpec{}
		c.change(s)
		var got []string
		for _, ref := range References(s) {
			got = append(got, string(ref.Kind)+" "+ref.Path())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

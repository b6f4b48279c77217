// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// mountedKeys describes the keys that the pod of a bridge mounts, and fails the test if the pod
// does not start without one of them.
func mountedKeys(t *testing.T, d *corev1.PodSpec) []string {
	t.Helper()
	var got []string
	add := func(kind, name string, optional *bool, items []corev1.KeyToPath) {
		if optional == nil || !*optional {
			t.Errorf("%s %s is not optional: if it is missing, the pod does not start", kind, name)
		}
		for _, item := range items {
			got = append(got, kind+" "+name+" "+item.Key+" at "+item.Path)
		}
	}
	for _, volume := range d.Volumes {
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			switch s, c, b := source.Secret, source.ConfigMap, source.ClusterTrustBundle; {
			case s != nil:
				add("Secret", s.Name, s.Optional, s.Items)
			case c != nil:
				add("ConfigMap", c.Name, c.Optional, c.Items)
			case b != nil && b.Name != nil:
				add("ClusterTrustBundle", *b.Name, b.Optional, []corev1.KeyToPath{{Key: "by name", Path: b.Path}})
			case b != nil:
				add("ClusterTrustBundle", *b.SignerName, b.Optional, []corev1.KeyToPath{{Key: metav1.FormatLabelSelector(b.LabelSelector), Path: b.Path}})
			}
		}
	}
	return got
}

// withReferences names keys of every kind, some of them more than once.
func withReferences(b *v1alpha1.MQTTBridge) {
	from := func(name, key string) *v1alpha1.SecretSource {
		return &v1alpha1.SecretSource{SecretKeyRef: v1alpha1.KeyReference{Name: name, Key: key}}
	}
	bundle := func(s v1alpha1.ClusterTrustBundleSource) *v1alpha1.TLS {
		return &v1alpha1.TLS{CA: &v1alpha1.CASource{ClusterTrustBundle: &s}}
	}
	b.Spec.Local.Credentials, b.Spec.Remote.Credentials = mqtttest.Login("shared"), mqtttest.Login("shared")
	b.Spec.Local.Primary = v1alpha1.Server{URL: "wss://l", TLS: mqtttest.TrustConfigMap("shared")}
	b.Spec.Remote.Primary = v1alpha1.Server{URL: "mqtts://a:8883", TLS: mqtttest.ShowCertificate(mqtttest.TrustSecret("shared"), "cert")}
	one := &metav1.LabelSelector{MatchLabels: map[string]string{"plant": "one"}}
	b.Spec.Remote.Backups = []v1alpha1.Server{
		{URL: "mqtts://b:8883", TLS: bundle(v1alpha1.ClusterTrustBundleSource{Name: "plant"})},
		{URL: "mqtts://c:8883", TLS: bundle(v1alpha1.ClusterTrustBundleSource{SignerName: "example.com/ca"})},
		{URL: "mqtts://d:8883", TLS: bundle(v1alpha1.ClusterTrustBundleSource{SignerName: "example.com/ca", LabelSelector: one})},
		{URL: "wss://e", WebSocket: &v1alpha1.WebSocket{
			Headers:   []v1alpha1.Header{{Name: "Authorization", ValueFrom: from("shared", "token")}, {Name: "X-Plain", Value: "1"}},
			QueryFrom: from("gateway", "query"),
		}},
	}
	b.Spec.Remote.Proxy = &v1alpha1.Proxy{URL: "socks5://p:1", Credentials: mqtttest.Login("proxy")}
	b.Spec.Remote.Primary.Proxy = &v1alpha1.Proxy{URL: "http://p:2", Credentials: &v1alpha1.Credentials{
		Username: &v1alpha1.UsernameSource{Value: "plant1"}, Password: from("shared", "proxy-password"),
	}}
	b.Spec.Local.Primary.WebSocket = &v1alpha1.WebSocket{
		Headers:   []v1alpha1.Header{{Name: "X-Key", ValueFrom: from("gateway", "key")}, {Name: "X-Password", ValueFrom: from("shared", "password")}},
		QueryFrom: from("gateway", "query"),
	}
}

var wantKeys = []string{
	"ClusterTrustBundle example.com/ca plant=one at clusterTrustBundles/example.com:ca/ca-4fafee2f.crt",
	"ClusterTrustBundle example.com/ca <none> at clusterTrustBundles/example.com:ca/ca.crt",
	"ClusterTrustBundle plant by name at clusterTrustBundles/plant/ca.crt",
	"ConfigMap shared ca.crt at configMaps/shared/ca.crt",
	"Secret cert tls.crt at cert/tls.crt", "Secret cert tls.key at cert/tls.key",
	"Secret gateway key at gateway/key", "Secret gateway query at gateway/query",
	"Secret proxy password at proxy/password", "Secret proxy username at proxy/username",
	"Secret shared ca.crt at shared/ca.crt", "Secret shared password at shared/password",
	"Secret shared proxy-password at shared/proxy-password",
	"Secret shared token at shared/token", "Secret shared username at shared/username",
}

func TestReferences_OfEveryKind_MountEachKeyOnceAndOptional(t *testing.T) {
	b := newBridge("default", "plant")
	withReferences(b)
	pod, err := convert[corev1.PodSpec](builtDeployment(t, b).Spec.Template.Spec)
	if err != nil {
		t.Fatal(err)
	}
	if got := mountedKeys(t, pod); !slices.Equal(got, wantKeys) {
		t.Errorf("mounted keys are %q; want %q", got, wantKeys)
	}
}

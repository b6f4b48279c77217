// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func TestPod_EverySettingOfTheRunner_IsAppliedOnce(t *testing.T) {
	all := everything(t)
	b := newBridge(namespace(t), "plant")
	b.Spec.Runner = all.Spec.Runner.DeepCopy()
	create(t, b)
	d := awaitDeployment(t, b, "the Deployment", func(d *appsv1.Deployment) bool { return d != nil })
	pod, container := d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
	if pod.ServiceAccountName != "plant-identity" || *pod.RuntimeClassName != "gvisor" || pod.DNSPolicy != corev1.DNSNone ||
		len(pod.HostAliases) != 1 || len(pod.TopologySpreadConstraints) != 1 || *pod.SecurityContext.RunAsUser != 1000 || !*pod.SecurityContext.RunAsNonRoot {
		t.Errorf("the pod is %+v", pod)
	}
	var names, mounts []string
	for _, e := range container.Env {
		names = append(names, e.Name)
	}
	for _, m := range container.VolumeMounts {
		mounts = append(mounts, m.MountPath)
	}
	if !slices.Equal(names, []string{"POD_NAME", "NODE_NAME", "SSL_CERT_FILE", "HOST_IP", "GOMEMLIMIT", "TEMPLATE_HASH"}) || !slices.Contains(mounts, "/etc/mqttbridge/extra/ca") || !slices.Contains(mounts, "/etc/mqttbridge/extra/keys") {
		t.Errorf("the container has the variables %v and the mounts %v", names, mounts)
	}
	awaitIdle(t, b) // Fails if the operator keeps writing.
}

func TestServiceAccount_OfTheUser_GetsTheRoleAndReplacesTheChild(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	create(t, b)
	awaitChild(t, &corev1.ServiceAccountList{}, b, "the ServiceAccount", func(s *corev1.ServiceAccount) bool { return s != nil })
	update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Runner = &v1alpha1.Runner{ServiceAccountName: "mine"} })
	awaitChild(t, &rbacv1.RoleBindingList{}, b, "another subject", func(r *rbacv1.RoleBinding) bool {
		return r != nil && len(r.Subjects) == 1 && r.Subjects[0].Name == "mine"
	})
	awaitChild(t, &corev1.ServiceAccountList{}, b, "no ServiceAccount", func(s *corev1.ServiceAccount) bool { return s == nil })
	awaitDeployment(t, b, "the ServiceAccount in the pod", func(d *appsv1.Deployment) bool { return d.Spec.Template.Spec.ServiceAccountName == "mine" })
}

func TestPodSecurityContext_SettingsOfTheUser_ReplaceUsersAndGroupsOnly(t *testing.T) {
	for name, c := range map[string]struct {
		users         *v1alpha1.PodSecurityContext
		user, fsGroup *int64
	}{
		"default":    {nil, ptr.To[int64](65532), ptr.To[int64](65532)},
		"empty":      {&v1alpha1.PodSecurityContext{}, nil, nil},
		"only group": {&v1alpha1.PodSecurityContext{FSGroup: ptr.To[int64](7)}, nil, ptr.To[int64](7)},
	} {
		got, err := podSecurityContext(c.users)
		if err != nil {
			t.Fatal(err)
		}
		if !ptr.Equal(got.RunAsUser, c.user) || !ptr.Equal(got.FSGroup, c.fsGroup) || !*got.RunAsNonRoot || *got.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

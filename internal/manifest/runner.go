// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Limits of lists and names, as in the schema.
const (
	maxSpreadConstraints  = 8
	maxHostAliases        = 64
	maxEnv                = 64
	maxExtraVolumes       = 16
	maxExtraVolumeName    = 50
	maxSupplementalGroups = 16
)

// validateRunner checks the settings of the runner. Except for the level and the format of the log,
// they have no effect outside a cluster.
func validateRunner(r *v1alpha1.Runner, path *field.Path) field.ErrorList {
	if r == nil {
		return nil
	}
	errs := inRange(path.Child("metricsPort"), r.MetricsPort, 1024, 65535)
	if r.MetricsPort != nil && *r.MetricsPort == probePort {
		errs = append(errs, field.Invalid(path.Child("metricsPort"), *r.MetricsPort, "metricsPort must differ from 8080, the port of the health probes; choose another port such as 9090, or remove the field to use port 8080 for both"))
	}
	if r.LogLevel != "" {
		errs = append(errs, oneOf(path.Child("logLevel"), r.LogLevel,
			v1alpha1.LogLevelDebug, v1alpha1.LogLevelInfo, v1alpha1.LogLevelWarn, v1alpha1.LogLevelError)...)
	}
	if r.LogFormat != "" {
		errs = append(errs, oneOf(path.Child("logFormat"), r.LogFormat, v1alpha1.LogFormatText, v1alpha1.LogFormatJSON)...)
	}
	if r.UpdatePolicy != "" {
		errs = append(errs, oneOf(path.Child("updatePolicy"), r.UpdatePolicy, v1alpha1.UpdateAutomatic, v1alpha1.UpdateOnSpecChange)...)
	}
	windows := path.Child("updateWindows")
	errs = append(errs, ValidateWindows(r.UpdateWindows, r.UpdateTimeZone, windows, path.Child("updateTimeZone"))...)
	if len(r.UpdateWindows) > 0 && r.UpdatePolicy == v1alpha1.UpdateOnSpecChange {
		errs = append(errs, field.Invalid(windows, r.UpdatePolicy, "updateWindows limit when a roll-out replaces the pod, but with updatePolicy OnSpecChange no roll-out does; remove updateWindows or set updatePolicy to Automatic"))
	}
	if a := r.ServiceAccountName; a != "" && (len(a) > maxReference || !objectName.MatchString(a)) {
		errs = append(errs, field.Invalid(path.Child("serviceAccountName"), a, "serviceAccountName must be the name of a ServiceAccount: lower case letters, digits, '-' and '.'"))
	}
	errs = append(errs, repeated(path.Child("imagePullSecrets"), len(r.ImagePullSecrets), func(i int) string { return r.ImagePullSecrets[i].Name })...)
	errs = append(errs, tooMany(path.Child("topologySpreadConstraints"), len(r.TopologySpreadConstraints), maxSpreadConstraints)...)
	errs = append(errs, tooMany(path.Child("hostAliases"), len(r.HostAliases), maxHostAliases)...)
	errs = append(errs, validateDNS(r, path)...)
	errs = append(errs, validateEnv(r.Env, path.Child("env"))...)
	errs = append(errs, validateAnnotations(r.PodAnnotations, path.Child("podAnnotations"))...)
	errs = append(errs, validateSecurityContext(r.PodSecurityContext, path.Child("podSecurityContext"))...)
	return append(errs, validateExtraVolumes(r.ExtraVolumes, path.Child("extraVolumes"))...)
}

// repeated returns an error for each of n items of a list whose name an earlier item has.
func repeated(path *field.Path, n int, name func(i int) string) (errs field.ErrorList) {
	seen := map[string]bool{}
	for i := range n {
		if seen[name(i)] {
			errs = append(errs, field.Duplicate(path.Index(i), name(i)))
		}
		seen[name(i)] = true
	}
	return errs
}

func validateDNS(r *v1alpha1.Runner, path *field.Path) field.ErrorList {
	if r.DNSPolicy == "" {
		return nil
	}
	errs := oneOf(path.Child("dnsPolicy"), r.DNSPolicy, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)
	if r.DNSPolicy == corev1.DNSNone && (r.DNSConfig == nil || len(r.DNSConfig.Nameservers) == 0) {
		errs = append(errs, field.Invalid(path.Child("dnsConfig"), r.DNSPolicy, "with dnsPolicy None the pod has only the name servers of dnsConfig; set dnsConfig.nameservers, or another dnsPolicy"))
	}
	return errs
}

func validateEnv(env []corev1.EnvVar, path *field.Path) field.ErrorList {
	errs := tooMany(path, len(env), maxEnv)
	errs = append(errs, repeated(path, len(env), func(i int) string { return env[i].Name })...)
	for _, name := range []string{"POD_NAME", "NODE_NAME", EnvTemplateHash} {
		if slices.ContainsFunc(env, func(e corev1.EnvVar) bool { return e.Name == name }) {
			errs = append(errs, field.Invalid(path, name, "the operator sets POD_NAME, NODE_NAME and TEMPLATE_HASH; remove them"))
		}
	}
	return errs
}

// appArmorPrefix is the prefix of the annotations that set the AppArmor profile of a container.
const appArmorPrefix = "container.apparmor.security.beta.kubernetes.io/"

// validateAnnotations refuses annotations by which the pod would no longer satisfy the Pod Security
// Standard restricted.
func validateAnnotations(annotations map[string]string, path *field.Path) field.ErrorList {
	for key := range annotations {
		if strings.HasPrefix(key, appArmorPrefix) {
			return field.ErrorList{field.Invalid(path, "annotations", "the pod keeps the AppArmor profile of the container runtime; remove the annotations with the prefix container.apparmor.security.beta.kubernetes.io/")}
		}
	}
	return nil
}

// containerTypes are the SELinux types that the Pod Security Standard baseline permits. The empty type
// is the type that the container runtime assigns.
var containerTypes = []string{"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}

func validateSecurityContext(c *v1alpha1.PodSecurityContext, path *field.Path) field.ErrorList {
	if c == nil {
		return nil
	}
	errs := inRange(path.Child("runAsUser"), c.RunAsUser, 1, math.MaxInt32)
	errs = append(errs, inRange(path.Child("runAsGroup"), c.RunAsGroup, 1, math.MaxInt32)...)
	errs = append(errs, inRange(path.Child("fsGroup"), c.FSGroup, 1, math.MaxInt32)...)
	if o := ptr.Deref(c.SELinuxOptions, corev1.SELinuxOptions{}); o.User != "" || o.Role != "" || !slices.Contains(containerTypes, o.Type) {
		errs = append(errs, field.Invalid(path.Child("seLinuxOptions"), o.Type, "seLinuxOptions must set neither user nor role, and its type must be container_t, container_init_t, container_kvm_t or container_engine_t, as the Pod Security Standard baseline requires; change it, or remove it"))
	}
	groups := path.Child("supplementalGroups")
	errs = append(errs, tooMany(groups, len(c.SupplementalGroups), maxSupplementalGroups)...)
	for i := range c.SupplementalGroups {
		errs = append(errs, inRange(groups.Index(i), &c.SupplementalGroups[i], 1, math.MaxInt32)...)
	}
	return errs
}

func validateExtraVolumes(volumes []v1alpha1.ExtraVolume, path *field.Path) field.ErrorList {
	errs := tooMany(path, len(volumes), maxExtraVolumes)
	errs = append(errs, repeated(path, len(volumes), func(i int) string { return volumes[i].Name })...)
	for i := range volumes {
		v, at := &volumes[i], path.Index(i)
		if len(v.Name) > maxExtraVolumeName || !serverName.MatchString(v.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), v.Name, "the name of an extra volume must consist of lower case letters, digits and '-', and start and end with a letter or digit"))
		}
		if (v.ConfigMap == nil) == (v.Secret == nil) {
			errs = append(errs, field.Invalid(at.Child("name"), v.Name, "an extra volume needs either configMap or secret; set one of them"))
		}
		for name, ref := range map[string]*v1alpha1.LocalReference{"configMap": v.ConfigMap, "secret": v.Secret} {
			if ref != nil {
				errs = append(errs, validateKey(&v1alpha1.KeyReference{Name: ref.Name}, at.Child(name))...)
			}
		}
	}
	return errs
}

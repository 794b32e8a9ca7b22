package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

type (
	labels   map[string]string
	metadata struct {
		Name   string
		Labels labels
	}
	selector struct {
		MatchLabels labels `yaml:"matchLabels"`
	}
	probe struct {
		HTTPGet          *struct{ Path, Port string } `yaml:"httpGet"`
		TCPSocket        *struct{ Port string }       `yaml:"tcpSocket"`
		PeriodSeconds    int                          `yaml:"periodSeconds"`
		FailureThreshold int                          `yaml:"failureThreshold"`
	}
	container struct {
		Name, Image string
		Env         []struct{ Name, Value string }
		Ports       []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
		}
		ReadinessProbe probe `yaml:"readinessProbe"`
		LivenessProbe  probe `yaml:"livenessProbe"`
		Resources      struct {
			Requests, Limits struct{ CPU, Memory string }
		}
		SecurityContext struct {
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities             struct{ Drop []string }
		} `yaml:"securityContext"`
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	deployment struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   metadata
		Spec       struct {
			Replicas int
			Selector selector
			Strategy struct {
				RollingUpdate struct {
					MaxUnavailable int `yaml:"maxUnavailable"`
					MaxSurge       int `yaml:"maxSurge"`
				} `yaml:"rollingUpdate"`
			}
			Template struct {
				Metadata metadata
				Spec     struct {
					TerminationGracePeriodSeconds int   `yaml:"terminationGracePeriodSeconds"`
					AutomountServiceAccountToken  *bool `yaml:"automountServiceAccountToken"`
					SecurityContext               struct {
						RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
						RunAsUser      int                   `yaml:"runAsUser"`
						RunAsGroup     int                   `yaml:"runAsGroup"`
						FSGroup        int                   `yaml:"fsGroup"`
						SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
					} `yaml:"securityContext"`
					Containers []container
					Volumes    []struct {
						Name      string
						ConfigMap *struct{ Name string } `yaml:"configMap"`
						Secret    *struct {
							SecretName  string `yaml:"secretName"`
							DefaultMode int    `yaml:"defaultMode"`
						}
						EmptyDir *struct{} `yaml:"emptyDir"`
					}
				}
			}
		}
	}
	service struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   metadata
		Spec       struct {
			Selector labels
			Ports    []struct {
				Name       string
				Port       int
				TargetPort string `yaml:"targetPort"`
			}
		}
	}
	disruptionBudget struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   metadata
		Spec       struct {
			MinAvailable int `yaml:"minAvailable"`
			Selector     selector
		}
	}
	networkPolicy struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   metadata
		Spec       struct {
			PodSelector selector `yaml:"podSelector"`
			PolicyTypes []string `yaml:"policyTypes"`
			Ingress     []struct {
				From []struct {
					PodSelector selector `yaml:"podSelector"`
				}
			}
		}
	}
)

func deployFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// strictly decodes one document; a member that the type does not have is an error.
func strictly(t *testing.T, document []byte, into any) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func (l labels) within(all labels) bool {
	for key, value := range l {
		if all[key] != value {
			return false
		}
	}
	return len(l) > 0
}

// The Kubernetes manifest has no member that its kinds do not know; its parts find
// each other, and it agrees with the Caddyfile and the image that it runs.
func TestManifestHoldsTogether(t *testing.T) {
	var d deployment
	var s service
	var b disruptionBudget
	var n networkPolicy
	kinds := map[string]struct {
		version string
		into    any
	}{
		"Deployment": {"apps/v1", &d}, "Service": {"v1", &s}, "PodDisruptionBudget": {"policy/v1", &b}, "NetworkPolicy": {"networking.k8s.io/v1", &n},
	}
	manifest := deployFile(t, "kubernetes.yaml")
	decoder := yaml.NewDecoder(strings.NewReader(manifest))
	for {
		var members map[string]any
		if err := decoder.Decode(&members); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		kind, ok := kinds[members["kind"].(string)]
		if !ok || members["apiVersion"] != kind.version {
			t.Fatalf("unexpected %s of %s", members["kind"], members["apiVersion"])
		}
		document, err := yaml.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		strictly(t, document, kind.into)
		delete(kinds, members["kind"].(string))
	}
	if len(kinds) > 0 {
		t.Errorf("not there: %v", kinds)
	}

	caddyfile := deployFile(t, "nodes.Caddyfile")
	pod := d.Spec.Template
	for name, selects := range map[string]labels{
		"the Deployment": d.Spec.Selector.MatchLabels, "the Service": s.Spec.Selector, "the budget": b.Spec.Selector.MatchLabels,
		"the network policy": n.Spec.Ingress[0].From[0].PodSelector.MatchLabels,
	} {
		if !selects.within(pod.Metadata.Labels) {
			t.Errorf("%s selects %v, the pods have %v", name, selects, pod.Metadata.Labels)
		}
	}
	if n.Spec.PodSelector.MatchLabels.within(pod.Metadata.Labels) || !slices.Equal(n.Spec.PolicyTypes, []string{"Ingress"}) {
		t.Error("the network policy does not guard the app")
	}
	if d.Spec.Replicas < 2 || b.Spec.MinAvailable < 1 || b.Spec.MinAvailable >= d.Spec.Replicas || d.Spec.Strategy.RollingUpdate.MaxSurge < 1 {
		t.Error("an upgrade leaves no node, or cannot go on")
	}

	c := pod.Spec.Containers[0]
	if len(pod.Spec.Containers) != 1 || len(c.Ports) != 1 || c.Ports[0].ContainerPort != 8080 || !strings.Contains(caddyfile, "\n:8080 {") {
		t.Errorf("ports %v are not what nodes.Caddyfile listens on", c.Ports)
	}
	port := c.Ports[0].Name
	if s.Spec.Ports[0].TargetPort != port || c.ReadinessProbe.HTTPGet.Port != port || c.LivenessProbe.TCPSocket.Port != port {
		t.Errorf("Service and probes do not name the port %s", port)
	}
	path := c.ReadinessProbe.HTTPGet.Path
	for _, line := range []string{"public " + path, "respond " + path + " 200", "path " + path} {
		if !strings.Contains(caddyfile, line+"\n") {
			t.Errorf("nodes.Caddyfile has no %q for the readiness probe", line)
		}
	}
	delay := regexp.MustCompile(`shutdown_delay (\w+)`).FindStringSubmatch(caddyfile)
	if wait, err := time.ParseDuration(delay[1]); err != nil || wait >= time.Duration(pod.Spec.TerminationGracePeriodSeconds)*time.Second ||
		wait < 2*time.Duration(c.ReadinessProbe.PeriodSeconds)*time.Second {
		t.Errorf(
			"shutdown_delay %s, probes every %d s, killed after %d s", delay[1], c.ReadinessProbe.PeriodSeconds,
			pod.Spec.TerminationGracePeriodSeconds,
		)
	}
	for _, env := range c.Env {
		if !strings.Contains(caddyfile, "{$"+env.Name+":") {
			t.Errorf("nodes.Caddyfile does not read %s", env.Name)
		}
	}
	user := regexp.MustCompile(`(?m)^USER (\d+):(\d+)$`).FindStringSubmatch(deployFile(t, "Dockerfile"))
	if sc := pod.Spec.SecurityContext; user[1] != "65532" || user[2] != user[1] || sc.RunAsUser != 65532 || sc.RunAsGroup != 65532 ||
		sc.FSGroup != 65532 || !sc.RunAsNonRoot {
		t.Errorf("the pod runs as %+v, the image as %v", sc, user[1:])
	}

	mounts := make(map[string]string)
	for _, mount := range c.VolumeMounts {
		mounts[mount.Name] = mount.MountPath
	}
	for _, volume := range pod.Spec.Volumes {
		at := mounts[volume.Name]
		delete(mounts, volume.Name)
		switch {
		case volume.ConfigMap != nil:
			if at != "/etc/caddy-wechat" || !strings.Contains(manifest, "create configmap "+volume.ConfigMap.Name+" --from-file=Caddyfile=") {
				t.Errorf("the Caddyfile is mounted at %q, from %s", at, volume.ConfigMap.Name)
			}
		case volume.Secret != nil:
			if !strings.Contains(caddyfile, "{file."+at+"/") ||
				!strings.Contains(manifest, "create secret generic "+volume.Secret.SecretName+" --from-file=docs/deploy/secrets") {
				t.Errorf("secrets are mounted at %q, from %s", at, volume.Secret.SecretName)
			}
			if volume.Secret.DefaultMode&0o007 != 0 || volume.Secret.DefaultMode&0o040 == 0 {
				t.Errorf("secrets have the mode %o", volume.Secret.DefaultMode)
			}
		case volume.EmptyDir != nil:
			if at != "/var/lib/caddy-wechat" {
				t.Errorf("the state is at %q", at)
			}
		default:
			t.Errorf("volume %s is of no kind", volume.Name)
		}
	}
	if len(mounts) > 0 {
		t.Errorf("mounts of no volume: %v", mounts)
	}
}

// The compose file has no member that compose does not know, and names nothing that
// is not there.
func TestComposeHoldsTogether(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			Build *struct {
				Context, Dockerfile string
				Args                map[string]string
			}
			Image, Restart  string
			StopGracePeriod time.Duration `yaml:"stop_grace_period"`
			Command         []string
			Ports, Networks []string
			DependsOn       []string `yaml:"depends_on"`
			Volumes         []string
			Environment     map[string]string
			Secrets         []string
		}
		Networks map[string]*struct{ Internal bool }
		Volumes  map[string]*struct{}
		Secrets  map[string]struct{ File string }
	}
	strictly(t, []byte(deployFile(t, "compose.yaml")), &compose)
	caddyfile, dockerfile := deployFile(t, "nodes.Caddyfile"), deployFile(t, "Dockerfile")
	gateways, ports := 0, make(map[string]bool)
	for name, service := range compose.Services {
		for _, network := range service.Networks {
			if _, ok := compose.Networks[network]; !ok {
				t.Errorf("%s: no network %s", name, network)
			}
		}
		for _, secret := range service.Secrets {
			if compose.Secrets[secret].File != "./secrets/"+secret {
				t.Errorf("%s: no secret %s", name, secret)
			}
		}
		for _, other := range service.DependsOn {
			if _, ok := compose.Services[other]; !ok {
				t.Errorf("%s: no service %s", name, other)
			}
		}
		for _, volume := range service.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			if file, ok := strings.CutPrefix(from, "./"); ok {
				deployFile(t, file)
			} else if _, ok := compose.Volumes[from]; !ok {
				t.Errorf("%s: no volume %s", name, from)
			}
		}
		if service.Build == nil {
			if slices.Contains(service.Networks, "front") || len(service.Ports) > 0 {
				t.Errorf("%s can be reached around the gateways", name)
			}
			continue
		}
		gateways++
		for argument, value := range service.Build.Args {
			if !regexp.MustCompile(`(?m)^ARG ` + argument + `\b`).MatchString(dockerfile) {
				t.Errorf("%s: the Dockerfile has no argument %s", name, argument)
			}
			if _, standard, _ := strings.Cut(strings.TrimSuffix(value, "}"), ":-"); standard != "" &&
				!strings.Contains(dockerfile, "ARG "+argument+"="+standard+"\n") {
				t.Errorf("%s: %s is not the Dockerfile's %s", name, standard, argument)
			}
		}
		for variable := range service.Environment {
			if !strings.Contains(caddyfile, "{$"+variable+":") {
				t.Errorf("%s: nodes.Caddyfile does not read %s", name, variable)
			}
		}
		for _, published := range service.Ports {
			host, inside, _ := strings.Cut(published, ":")
			if inside != "8080" || ports[host] {
				t.Errorf("%s publishes %s", name, published)
			}
			ports[host] = true
		}
		if service.StopGracePeriod < 30*time.Second {
			t.Errorf("%s is killed after %s", name, service.StopGracePeriod)
		}
	}
	if gateways != 2 || compose.Networks["behind"] == nil || !compose.Networks["behind"].Internal {
		t.Error("not two gateways in front of a network of their own")
	}
}

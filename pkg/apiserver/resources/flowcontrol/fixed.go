package flowcontrol

import flowcontrolv1 "k8s.io/api/flowcontrol/v1"

// fixedSchemas are the specs that nobody may change: what is exempt, and what catches all that nothing else
// matches. The server could not do without them.
func fixedSchemas() map[string]flowcontrolv1.FlowSchemaSpec {
	everything := func(groups ...string) []flowcontrolv1.PolicyRulesWithSubjects {
		rule := flowcontrolv1.PolicyRulesWithSubjects{
			ResourceRules: []flowcontrolv1.ResourcePolicyRule{{
				Verbs: []string{all}, APIGroups: []string{all}, Resources: []string{all}, ClusterScope: true, Namespaces: []string{all},
			}},
			NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: []string{all}, NonResourceURLs: []string{all}}},
		}
		for _, g := range groups {
			rule.Subjects = append(rule.Subjects, flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: g}})
		}
		return []flowcontrolv1.PolicyRulesWithSubjects{rule}
	}
	return map[string]flowcontrolv1.FlowSchemaSpec{
		flowcontrolv1.FlowSchemaNameExempt: {
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: flowcontrolv1.PriorityLevelConfigurationNameExempt},
			MatchingPrecedence:         1,
			Rules:                      everything("system:masters"),
		},
		flowcontrolv1.FlowSchemaNameCatchAll: {
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: flowcontrolv1.PriorityLevelConfigurationNameCatchAll},
			MatchingPrecedence:         flowcontrolv1.FlowSchemaMaxMatchingPrecedence,
			DistinguisherMethod:        &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType},
			Rules:                      everything("system:unauthenticated", "system:authenticated"),
		},
	}
}

// fixedLevels are the priority levels of the same kind. How much the exempt one lends may be changed.
func fixedLevels() map[string]flowcontrolv1.PriorityLevelConfigurationSpec {
	return map[string]flowcontrolv1.PriorityLevelConfigurationSpec{
		flowcontrolv1.PriorityLevelConfigurationNameExempt: {
			Type: flowcontrolv1.PriorityLevelEnablementExempt,
			Exempt: &flowcontrolv1.ExemptPriorityLevelConfiguration{
				NominalConcurrencyShares: new(int32(0)), LendablePercent: new(int32(0)),
			},
		},
		flowcontrolv1.PriorityLevelConfigurationNameCatchAll: {
			Type: flowcontrolv1.PriorityLevelEnablementLimited,
			Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: new(int32(5)), LendablePercent: new(int32(0)),
				LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
			},
		},
	}
}

"""The method of the paper, on tensors: no projects, files, threads or processes.

================  ==================================================  ==================================
Paper             What                                                Where
================  ==================================================  ==================================
Eq. 1, Sec. 3.1   L_s, the segmentation loss on labels                losses.Criterion
App. B, Sec. 3.1  Optimal transport: predictions matched to targets   matching.assign_layers
Sec. 3.1          Segmented objects, for the instance bank            supervised.segmented_objects
Eq. 2, Sec. 3.2   The place where an object is pasted                 pseudo_sequences/placement.py
Eq. 3, Sec. 3.2   f(i, j), the association score                      association.association_scores
Eq. 4, Sec. 3.2   L_embed, the association loss                       association.association_loss
App. B            Positive and negative views for L_embed             association.contrastive_queries
Sec. 3.3          The teacher's pass over x_w, without gradients      teacher.teacher_pass
Eq. 5, Sec. 3.3   L_u, the segmentation loss on pseudo-labels         unsupervised.consistency_loss
Eq. 6, Sec. 3.3   Cascade of class threshold and quantile             pseudo_labels.select
Eq. 7, Sec. 3.3   Mask threshold gamma_mask                           pseudo_labels.binary_masks
Eq. 8, Sec. 3.3   Mask-to-Box (M2B)                                   targets.boxes_of_masks
Sec. 3.3          Multi-Label Matching (MLM)                          pseudo_labels.multi_label_matching
Sec. 3.3          Pasted objects as targets, with pseudo-labels       pseudo_labels.merge_with_known
Sec. 3.3          Targets carried to the strong and after view        view_transfer.strong_view_targets
Eq. 9, Sec. 3.4   L_total, with lambda_3 and lambda_4                 objective.total_loss
App. C            Schedule of the thresholds gamma_t                  thresholds.staircase
App. C            Schedule of the quantile level p_t                  thresholds.quantile_level
Fig. 4            Ideal class and mask thresholds                     pseudo_label_quality.summarise
Table 3, PS       config: sequence.enabled                            pseudo_sequences/
Table 3, OT       config: loss.matching                               matching.assign_layers
Table 3, M2B      config: pseudo_labels.mask_to_box                   pseudo_labels.make_pseudo_labels
Table 3, MLM      config: pseudo_labels.multi_label_matching          pseudo_labels.make_pseudo_labels
Table 4           config: pseudo_labels.strategy                      pseudo_labels.select
Table 5           config: pseudo_labels.mask_threshold, .threshold_*  pseudo_labels.make_pseudo_labels
Table 6           config: loss.association (lambda_3)                 objective.total_loss
not in the paper  Test-time augmentation of the teacher               extensions.test_time
not in the paper  Next frames of a recording as after views           extensions.next_frame
not in the paper  Mask borders moved to edges                         extensions.edge_refinement
================  ==================================================  ==================================

One image on its way to the loss passes through eight files:

1. ``project/project.py``: ``Project.image`` reads it.
2. ``training/data/source.py``: it becomes a frame of a step.
3. ``pseudo_sequences/sequence.py``: its views x_1, x_2 and x_3 are planned, with the objects pasted into them.
4. ``pseudo_sequences/render.py``: their pixels and masks are computed.
5. ``training/step.py``: the views are in a micro-batch.
6. ``method/supervised.py`` or ``method/unsupervised.py``: the network predicts, and targets are made.
7. ``method/losses.py``: L_s or L_u.
8. ``method/objective.py``: L_total.
"""

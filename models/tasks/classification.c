#include "models/tasks/classification.h"

#include "models/jobs/scores.h"

static void put_scores(const struct model *model, const float *outputs, float *scores)
{
    scores_put(model->activation, outputs, network_output_size(model->network), model->n_labels, scores);
}

struct reading_want classification_want(const struct model *model)
{
    size_t width = scores_width(model->activation, network_output_size(model->network), model->n_labels);
    return (struct reading_want){.ability = ABILITY_CLASSIFY, .put = put_scores, .width = width};
}

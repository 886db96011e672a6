{# An identity occurs once: columns or expressions. #}
{% test once(model, identity) %}
SELECT {{ identity | join(", ") }}, count() AS times
FROM {{ model }}
GROUP BY {{ identity | join(", ") }}
HAVING times > 1
{% endtest %}

{# A text has at least one character: texts are never null here. #}
{% test not_empty(model, column_name) %}
SELECT * FROM {{ model }} WHERE {{ column_name }} = ''
{% endtest %}

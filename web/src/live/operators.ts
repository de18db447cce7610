/** What only operators see, and only they load: alarms, nodes, warnings. */

import './alarms';
import './nodes';
